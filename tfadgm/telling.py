"""What is told to the user beside results: one line each, on stderr."""

import sys


def warn(message):
    """Prints "warning: `message`" as one line on stderr."""
    print(f"warning: {printable(message)}", file=sys.stderr, flush=True)


def printable(text):
    """Returns text with its control characters written out, such as \\x1b: a name in a file must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
