"""Whether the files of a data set are those that they were: a short identity of a file, or of a folder of files."""

import glob
import hashlib
import os
import pathlib

from tfadgm.telling import warn


def of(path, *further):
    """Returns the identity of the file or folder `path`, a dict of JSON types; None where there is no such thing.

    A pattern of names is all files that it matches. `further` are paths that belong to it, or None.

    Keys: files and bytes, how much there is; content, a hash of names and contents; stat, one of names, sizes and times, by
    which files that nobody touched are known without being read. What is hidden, or no regular file, does not count.
    """
    files = _all_files(path, *further)
    if not files:
        return None
    content = hashlib.blake2b(digest_size=16)
    for name, file in files:
        with open(file, "rb") as stream:
            content.update(repr((name, hashlib.file_digest(stream, "blake2b").hexdigest())).encode())
    return {**_size(files), "content": content.hexdigest()}


def check(path, before, what, *further):
    """Raises a ValueError that begins with `what` if the files at `path` are others than when `before` was made by `of`."""
    files = _all_files(path, *further)
    if not files:
        warn(f"{path}: no such file, so that nothing can tell whether it has changed since the run began")
        return
    if not isinstance(before, dict) or _size(files) == {name: before.get(name) for name in ("files", "bytes", "stat")}:
        return
    now = of(path, *further)
    if now["content"] != before.get("content"):
        sizes = f"{now['files']} files, {now['bytes']} bytes; then {before.get('files')} files, {before.get('bytes')} bytes"
        raise ValueError(
            f"{what}: {path} is not, or no longer, what the run began on ({sizes}); allowed: the data as they were, or "
            "another run, of another --out, on these"
        )


def _all_files(*paths):
    found = []
    for path in map(str, filter(None, paths)):
        matching = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) and not os.path.exists(path) else []
        found += [(os.path.basename(file), pathlib.Path(file)) for file in matching] or _files(pathlib.Path(path))
    return found


def _files(path):
    """Returns (name inside `path`, path) of every regular file, sorted by name; of a file itself ("", path)."""
    if not path.is_dir():
        return [("", path)] if path.is_file() else []
    found, seen = [], set()
    for folder, inside, names in os.walk(path, followlinks=True):
        seen.add(os.path.realpath(folder))  # a link may lead back
        inside[:] = [n for n in inside if not n.startswith(".") and os.path.realpath(os.path.join(folder, n)) not in seen]
        found += [pathlib.Path(folder, name) for name in names if not name.startswith(".")]
    return sorted((str(file.relative_to(path)), file) for file in found if file.is_file())


def _size(files):
    stats = [(name, file.stat()) for name, file in files]
    told = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]).encode()
    total = sum(stat.st_size for _, stat in stats)
    return dict(files=len(files), bytes=total, stat=hashlib.blake2b(told, digest_size=16).hexdigest())
