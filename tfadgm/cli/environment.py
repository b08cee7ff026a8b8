"""Finds the Python that has the package's requirements; for bin/, before anything else is imported.

It runs in whatever `python3` is, so it has the standard library alone.
"""

import importlib.util
import os
import pathlib
import sys


def enter(root, needed="tensorflow"):
    """Runs this program again by the environment's Python, unless `needed` can be imported already.

    The environment is that of `make install`: `root`/.venv, or the directory that VENV names. A program that finds none
    ends with one line on stderr and exit code 1.
    """
    if importlib.util.find_spec(needed):
        return
    directory = pathlib.Path(root, os.environ.get("VENV") or ".venv")
    python = directory / "bin" / "python"
    if python.exists() and pathlib.Path(sys.prefix).resolve() != directory.resolve():
        os.execv(str(python), [str(python), *sys.argv])
    told = f"{sys.executable} has no {needed}, and {directory} is no environment that has it"
    print(f"error: {told}; allowed: make install, or VENV=DIR before the command", file=sys.stderr)
    sys.exit(1)
