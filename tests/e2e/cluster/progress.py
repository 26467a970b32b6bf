"""What a long start tells the person who waits."""

import sys


def say(line: str) -> None:
    """Writes a line to standard error at once."""
    sys.stderr.write(f"e2e: {line}\n")
    sys.stderr.flush()
