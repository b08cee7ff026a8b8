"""Files of the user's own, before they are opened."""

import glob
import os
import pathlib
import stat

MOST_TEXT = 32 << 20  # bytes of a file that is read whole: a JSON file takes several times as much memory


def check_regular(path, kind):
    """Raises a ValueError unless `path` is an ordinary file: a pipe would be waited for, a device has no end.

    Args:
      path: of the file.
      kind: what it should be, such as "a csv file".
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or type(error).__name__)
        raise ValueError(f"{path}: {what}; allowed: {kind}") from None
    if stat.S_ISDIR(mode):
        raise ValueError(f"{path}: is a directory; allowed: {kind}")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path}: is a pipe or a device; allowed: {kind}, an ordinary file")


def matched(pattern, what):
    """Returns the paths of the files of a pattern, sorted, or raises a ValueError that begins with `what` for none.

    ** is folders at any depth.
    """
    found = sorted(glob.glob(expanded(pattern), recursive=True))
    if not found:
        raise ValueError(f"{what}: got {pattern!r}, which no file matches; allowed: a pattern such as DIR/train*.tfrecord")
    for name in found:
        check_regular(name, "a file")
    return found


def read_text(path, kind, most=MOST_TEXT):
    """Returns the text of an ordinary file of at most `most` bytes, or raises a ValueError that names it."""
    check_regular(path, kind)
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path}: has more than {most >> 20} MiB; allowed: at most these")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: holds bytes that are no text: {error}") from None


def expanded(argument):
    """Returns a path with its ~ as the home directory; None stays None."""
    return None if argument is None else str(pathlib.Path(argument).expanduser())
