"""Exit codes of the commands."""

DONE = 0
FAULT = 1
"""A fault of ktune; ``export``: a file does not agree with the registered model."""
MISTAKE = 2
"""The user's mistake, explained in one message."""
DIFFERENT = 3
"""``reproduce``: the result is different."""
INTERRUPTED = 130
"""Ctrl-C; everything finished is kept."""
