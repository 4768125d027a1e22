"""Forms that Keras takes and ktune does not: each refused with the lines that work."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ktune.errors import DataError
from ktune.utils.text import count_of

_ONE_OUTPUT = "ktune tunes models with one output and scores trials by its targets."


def check_forms(x: Any, y: Any, *, name: str) -> None:
    """Refuse features and targets of forms that only Keras takes.

    Args:
        x: Features, as given.
        y: Targets, as given.
        name: Of the data, for messages.

    Raises:
        DataError: It names the form, the reason, and the lines that work.
    """
    problem = (
        _several_targets(x, y)
        or _several_features(x, y)
        or _texts(x)
        or _targets_of_many_axes(y)
    )
    if problem is not None:
        raise DataError(f"{name}: {problem}")


def is_list_of_arrays(values: Any) -> bool:
    """Whether something is a list of arrays rather than one array."""
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(getattr(part, "ndim", 0) > 0 for part in values)
    )


def _several_targets(x: Any, y: Any) -> str | None:
    if isinstance(y, Mapping):
        names = [repr(key) for key in y]
        return (
            f"the targets are a dict ({', '.join(names[:5])}), one per output of the "
            f"model. {_ONE_OUTPUT} Choose one of them:\n"
            f"    data=(X, y[{names[0]}])\n"
            f"    return keras.Model(inputs, outputs[{names[0]}])  # in `build`"
        )
    if is_list_of_arrays(y) and len(y) != _rows(x) and _all_of_length(y, _rows(x)):
        return (
            f"the targets are a list of {len(y)} arrays, one per output of the model. "
            f"{_ONE_OUTPUT} Choose one of them:\n"
            "    data=(X, y[0])\n"
            "    return keras.Model(inputs, outputs[0])  # in `build`"
        )
    return None


def _several_features(x: Any, y: Any) -> str | None:
    n_rows = _rows(y)
    if not is_list_of_arrays(x) or len(x) == n_rows or not _all_of_length(x, n_rows):
        return None
    names = [f"input_{index}" for index in range(len(x))]
    listed = ", ".join(f"{key!r}: X[{index}]" for index, key in enumerate(names))
    return (
        f"the features are a list of {count_of(len(x), 'array')}, one per input of the "
        "model. Folds are cut by name, so give a dict, and the inputs these names:\n"
        f"    data=({{{listed}}}, y)\n"
        f"    keras.Input({_row_shape(x[0])}, name={names[0]!r}), …  # in `build`"
    )


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


def _targets_of_many_axes(y: Any) -> str | None:
    shape = tuple(getattr(y, "shape", ()))
    if len(shape) < 3:
        return None
    return (
        f"targets have shape {shape}: an array for each row, such as a mask or an "
        "image. One value or one row of values is needed. Flatten targets and output:\n"
        "    data=(X, y.reshape(len(y), -1))\n"
        "    keras.layers.Flatten()  # in `build`, as the last layer"
    )


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


def _rows(values: Any) -> int:
    if isinstance(values, Mapping):
        values = next(iter(values.values()), ())
    if is_list_of_arrays(values):
        return len(values[0])
    return len(values) if hasattr(values, "__len__") else -1


def _all_of_length(arrays: Sequence[Any], n_rows: int) -> bool:
    return all(len(array) == n_rows for array in arrays)


def _row_shape(array: Any) -> tuple[int, ...]:
    return tuple(array.shape[1:]) or (1,)
