"""Forms that Keras takes and ktune does not: each refused with the lines that work."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.custom_targets import is_list_of_arrays
from ktune.errors import DataError


def check_forms(x: Any, *, name: str) -> None:
    """Refuse features of forms that only Keras takes.

    Args:
        x: Features, as given.
        name: Of the data, for messages.

    Raises:
        DataError: It names the form, the reason, and the lines that work.
    """
    problem = _texts(x)
    if problem is not None:
        raise DataError(f"{name}: {problem}")


def _texts(x: Any) -> str | None:
    if isinstance(x, pd.DataFrame | Mapping) or not _are_texts(x):
        return None
    return (
        f"the features are {len(x)} texts. Models are trained on numbers here, so that "
        "a registered model takes the same numbers everywhere. Turn texts into token "
        "numbers first:\n"
        "    data=ktune.data.arrays(np.asarray(vectorization(X)), y, kind='sequence')\n"
        "    keras.Input((length,), dtype='int64')  # in `build`, before the Embedding"
    )


def _are_texts(x: Any) -> bool:
    """Whether features are one column of text rather than a table."""
    array = np.asarray(x, dtype=object) if isinstance(x, pd.Series) else _as_shaped(x)
    if array is None or array.size == 0 or array.dtype.kind not in "OUST":
        return False
    is_column = array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)
    words = array.ravel()[:100].tolist()
    return is_column and all(isinstance(word, str | bytes) for word in words)


def _as_shaped(values: Any) -> np.ndarray | None:
    """Return an array or a flat list as an array; None: it is neither."""
    if isinstance(values, np.ndarray):
        return values
    if (
        isinstance(values, list | tuple)
        and values
        and isinstance(values[0], str | bytes)
    ):
        return np.asarray(values, dtype=object)
    return values if hasattr(values, "ndim") else None


def count_given(values: Any) -> int:
    """Return the number of rows of targets as given; -1: unknown."""
    if isinstance(values, Mapping):
        values = next(iter(values.values()), ())
    if is_list_of_arrays(values):
        return len(values[0])
    return len(values) if hasattr(values, "__len__") else -1
