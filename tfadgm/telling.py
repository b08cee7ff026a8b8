"""What is told to the user beside results."""

import sys


def warn(message):
    """Prints one line on stderr."""
    print(f"warning: {message}", file=sys.stderr)
