"""Suggestions for mistyped words, and nouns after a number."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known word, or "".

    Example:
        >>> did_you_mean("val_acuracy", ["accuracy", "val_accuracy"])
        " Did you mean 'val_accuracy'?"
        >>> did_you_mean("zebra", ["accuracy"])
        ''
    """
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> count_of(1, "epoch"), count_of(0, "row")
        ('1 epoch', '0 rows')
    """
    return f"{number} {noun}" + ("" if number == 1 else "s")
