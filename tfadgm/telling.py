"""What is told to the user beside results: one line each, on stderr."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int], None]  # of (done, total), called now and then

_listeners: list[list[str]] = []


@contextlib.contextmanager
def recorded() -> Iterator[list[str]]:
    """Yields a list to which every warning within the scope is added, beside its being told."""
    lines: list[str] = []
    _listeners.append(lines)
    try:
        yield lines
    finally:
        _listeners[:] = [each for each in _listeners if each is not lines]


def tell(message):
    """Prints `message` as one line on stderr."""
    print(printable(message), file=sys.stderr, flush=True)


def warn(message):
    """Prints "warning: `message`" as one line on stderr."""
    tell(f"warning: {message}")
    for lines in _listeners:
        lines.append(printable(message))


def printable(text):
    """Returns text with its control characters written out, such as \\x1b: a name in a file must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
