"""What is told to the user beside results: one line each, on stderr."""

import sys
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int], None]  # of (done, total), called now and then


def tell(message):
    """Prints `message` as one line on stderr."""
    print(printable(message), file=sys.stderr, flush=True)


def warn(message):
    """Prints "warning: `message`" as one line on stderr."""
    tell(f"warning: {message}")


def printable(text):
    """Returns text with its control characters written out, such as \\x1b: a name in a file must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
