"""Whether rows handed to ``model.fit`` are rows that were given, or changed ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np

MOST_ROWS = 64
"""Rows of those handed that are looked up."""


def are_taken_from(handed: Any, given: Any) -> bool:
    """Whether rows handed on are some of the rows given, in any order.

    Args:
        handed: An array, a dict or list of arrays, or a `tf.data.Dataset` of batches.
        given: An array or a dict of arrays.

    Returns:
        True also where the rows cannot be read without using them up.

    Example:
        >>> rows = np.arange(6.0).reshape(3, 2)
        >>> are_taken_from(rows[::-1], rows), are_taken_from(rows / 2, rows)
        (True, False)
    """
    if handed is given:
        return True
    handed = _first_rows(handed)
    if handed is None:
        return True
    ours, theirs = _parts(given), _parts(handed)
    if len(ours) != len(theirs):
        return False
    return all(_is_taken(a, b) for a, b in zip(theirs, ours, strict=True))


def is_same(handed: Any, given: Any) -> bool:
    """Whether rows handed on are the rows given, all of them in the same order."""
    if hasattr(handed, "element_spec"):
        return False
    ours, theirs = _parts(given), _parts(handed)
    return len(ours) == len(theirs) and all(
        a.shape == b.shape and np.array_equal(a, b)
        for a, b in zip(theirs, ours, strict=True)
    )


def _first_rows(handed: Any) -> Any:
    """Return rows as arrays; of a data set the first batch; None: unknown."""
    if not hasattr(handed, "element_spec"):
        is_array = hasattr(handed, "shape") or isinstance(
            handed, Mapping | list | tuple
        )
        return handed if is_array else None
    element = next(iter(handed.take(1)))
    return element[0] if isinstance(element, tuple) else element


def _parts(rows: Any) -> list[np.ndarray]:
    if isinstance(rows, Mapping):
        return [np.asarray(rows[name]) for name in sorted(rows)]
    if isinstance(rows, list | tuple):
        return [np.asarray(part) for part in rows]
    return [np.asarray(rows)]


def _is_taken(handed: np.ndarray, given: np.ndarray) -> bool:
    if handed.shape[1:] != given.shape[1:]:
        return False
    if handed.shape == given.shape and np.array_equal(handed, given):
        return True
    step = max(1, len(handed) // MOST_ROWS)
    looked_up = _bytes(handed[::step][:MOST_ROWS])
    return set(looked_up) <= set(_bytes(given))


def _bytes(rows: np.ndarray) -> list[bytes]:
    return [np.ascontiguousarray(row, np.float32).tobytes() for row in rows]
