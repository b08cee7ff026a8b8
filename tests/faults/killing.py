"""Kills at every place where Python changes a file, in this process: from then on it changes none, as after SIGKILL.

Each such change is announced by an audit event (`sys.addaudithook`), in which `Killed` is raised; what `finally` and
`except` would still do to files is barred in the same way. What TensorFlow's C++ writes raises no event: half of such a
write is a case of damage_test.py, and of its steps those of Python are counted here.
"""

import contextlib
import os
import sys

import pytest
from tensorflow.python.lib.io import file_io

CHANGES = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
}
OF_TENSORFLOW = ("atomic_write_string_to_file", "delete_file_v2", "rename_v2", "recursive_create_dir_v2")
_state = {"root": None, "at": 0, "count": 0, "dead": False, "events": []}


class Killed(BaseException):
    """The process is dead."""


def _is_change(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        return bool(written) or (isinstance(mode, str) and any(letter in mode for letter in "wax+"))
    return event in CHANGES or event == "tfadgm.test.change"


def _hook(event, arguments):
    if _state["root"] is None or not _is_change(event, arguments):
        return
    place = arguments[0] if arguments else ""
    place = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else ""
    if _state["root"] not in place:
        return
    if not _state["dead"]:
        _state["count"] += 1
        _state["events"].append((event, os.path.relpath(place, _state["root"])))
    if _state["dead"] or _state["count"] == _state["at"]:
        _state["dead"] = True
        raise Killed(f"at change {_state['count']}: {event} {place}")


sys.addaudithook(_hook)


def _announced(function):
    def announced(path, *arguments, **options):
        sys.audit("tfadgm.test.change", path)
        return function(path, *arguments, **options)

    return announced


@contextlib.contextmanager
def killed(root, at=0):
    """Within this scope changes of files under `root` are counted, and the process is dead from the one of number `at` on.

    Yields the list of changes, (event, path below root); at 0 there is no kill.
    """
    _state.update(root=str(root), at=at, count=0, dead=False, events=[])
    with pytest.MonkeyPatch.context() as patch:
        for name in OF_TENSORFLOW:
            patch.setattr(file_io, name, _announced(getattr(file_io, name)))
        try:
            yield _state["events"]
        finally:
            _state["root"] = None
