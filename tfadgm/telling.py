"""What a user is told beside results: one line each."""

import sys


def warn(message):
    """Prints a warning, one line on stderr."""
    print(f"warning: {message}", file=sys.stderr)
