"""One process at a time in a run directory."""

import contextlib
import fcntl
import os
import pathlib
import platform
from collections.abc import Iterator
from typing import IO

NAME = "process"  # of the file that is locked, into which the process writes its number


@contextlib.contextmanager
def held(directory: pathlib.Path) -> Iterator[None]:
    """A scope in which no other process is at work in a run directory, which is made if there is none.

    The lock is the kernel's, so that none is left behind by a process that is killed. A directory that may not be written,
    or whose file system has no locks, is not locked.

    Raises:
      OSError: if another process is; the message has its number.
    """
    new = [each for each in (directory, *directory.parents) if not each.exists()]
    file = _locked(directory)
    if file is None:
        yield
        return
    with file:
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            (directory / NAME).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                for each in new:
                    each.rmdir()  # where nothing was written


def _locked(directory: pathlib.Path) -> IO[str] | None:
    path = directory / NAME
    while True:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+")
        except (PermissionError, FileExistsError, NotADirectoryError):
            return None  # what is wrong with it is told by whoever writes it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BlockingIOError:
            file.seek(0)
            told = f"process {file.read(80).strip() or '?'} is at work in it"
            raise OSError(f"out: {directory}: {told}; allowed: to wait for it, or another directory") from None
        except OSError:
            return None
        file.close()  # removed by its process in the meantime
