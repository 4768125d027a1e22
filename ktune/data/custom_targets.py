"""Targets of a custom task: any arrays, which the model's own loss and metrics score.

Targets are custom if ``task="custom"``, and without `task` if they are a dict, list or
tuple of arrays (one for each output of the model), or an array of rank 3 or more, such
as masks and images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.coding import as_plain_array
from ktune.data.dataset import Targets, Task
from ktune.data.nest import nest_of, parts_of
from ktune.errors import DataError

KEPT_ROWS = 256
KEPT_BYTES = 2**21
"""Limits of the outputs that are kept of a fold: masks of all rows would be large."""


@dataclass(frozen=True, eq=False)
class CustomCoding:
    """The form of custom targets, which test targets must have too.

    Attributes:
        form: Shape of a row by name of the array.
    """

    form: Mapping[str, tuple[int, ...]]
    task: Task = Task.CUSTOM
    class_names: tuple[str, ...] = ()

    def encode(self, y: Any, *, name: str) -> Targets:
        """Return targets as arrays of numbers, in the structure as given.

        Raises:
            DataError: They are not numbers, or of another form than the training
                targets.
        """
        targets = as_targets(y, name=name)
        found = _form(targets)
        if found != self.form:
            raise DataError(
                f"{name}: the rows of the targets have shapes {_shown(found)}; those "
                f"of the training targets have {_shown(self.form)}."
            )
        return targets


def make_custom_coding(y: Any, *, name: str) -> CustomCoding:
    """Return the coding of the training targets.

    Raises:
        DataError: They are no arrays of numbers with the same number of rows.
    """
    return CustomCoding(_form(as_targets(y, name=name)))


def is_list_of_arrays(values: Any) -> bool:
    """Whether something is a list of arrays rather than one array."""
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(getattr(part, "ndim", 0) > 0 for part in values)
    )


def are_several(values: Any, n_rows: int) -> bool:
    """Whether values are arrays of as many rows each, and not a list of rows."""
    if isinstance(values, Mapping):
        return True
    if not isinstance(values, list | tuple) or len(values) == n_rows:
        return False
    is_deep = any(isinstance(part, Mapping) for part in values)
    return is_deep or (
        is_list_of_arrays(values) and all(len(part) == n_rows for part in values)
    )


def is_custom(y: Any, n_rows: int) -> bool:
    """Whether targets are neither one value nor one row of values for each row."""
    return are_several(y, n_rows) or len(getattr(y, "shape", ())) > 2


def as_targets(y: Any, *, name: str) -> Targets:
    """Return targets as arrays of numbers; floats have 32 bits.

    Raises:
        DataError: An array is missing, empty, not of finite numbers, or has another
            number of rows than the first one.
    """
    if isinstance(y, pd.Series | pd.DataFrame):
        y = y.to_numpy()
    found = nest_of(_as_structure(y))
    if not parts_of(found):
        raise DataError(f"{name}: the {type(y).__name__} of targets is empty.")
    for key, array in parts_of(found).items():
        _check(array, f"{name}: {_label(key)}")
    rows = {key: len(array) for key, array in parts_of(found).items()}
    if len(set(rows.values())) > 1:
        raise DataError(f"{name}: the targets have different numbers of rows: {rows}.")
    return found


def kept_rows(y: Targets, validation: np.ndarray) -> np.ndarray:
    """Return evenly spread validation rows whose outputs are kept."""
    n_bytes = sum(array.nbytes // max(len(array), 1) for array in parts_of(y).values())
    size = min(len(validation), KEPT_ROWS, max(8, KEPT_BYTES // max(n_bytes, 1)))
    places = np.linspace(0, len(validation) - 1, size).astype(np.int64)
    return validation[places] if len(validation) else validation


def _as_structure(y: Any) -> Any:
    """Return arrays of numbers in dicts, lists and tuples; other lists are arrays."""
    if isinstance(y, Mapping):
        return {key: _as_structure(part) for key, part in y.items()}
    if isinstance(y, list | tuple) and _holds_arrays(y):
        parts = [_as_structure(part) for part in y]
        return parts if isinstance(y, list) else tuple(parts)
    return _as_numbers(y)


def _holds_arrays(values: Any) -> bool:
    if isinstance(values, Mapping) or getattr(values, "ndim", 0) > 0:
        return True
    return isinstance(values, list | tuple) and any(map(_holds_arrays, values))


def _as_numbers(values: Any) -> Any:
    if values is None:
        return np.empty(0, dtype=object)
    if isinstance(values, pd.Series | pd.DataFrame):
        values = values.to_numpy()
    try:
        array = as_plain_array(values)
    except ValueError:  # ragged rows
        return np.empty(1, dtype=object)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind in "iu":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    return array


def _check(array: np.ndarray, where: str) -> None:
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{where} are no numbers of one shape. A custom task takes arrays of "
            "numbers, one for each output. Encode text first, for instance by "
            "np.unique(y, return_inverse=True)[1]."
        )
    if array.ndim == 0 or array.size == 0:
        raise DataError(
            f"{where} have shape {array.shape}; at least one row is needed."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        n_bad = int((~np.isfinite(array)).sum())
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise DataError(
            f"{where}: {n_bad} values are NaN or infinite, the first in row {row}. "
            "Remove those rows, or mark the values by a number such as -1 and leave "
            "them out in your loss."
        )


def _label(key: str) -> str:
    return f"targets {key!r}" if key else "the targets"


def _form(targets: Targets) -> dict[str, tuple[int, ...]]:
    return {key: tuple(part.shape[1:]) for key, part in parts_of(targets).items()}


def _shown(form: Mapping[str, tuple[int, ...]]) -> str:
    if list(form) == [""]:
        return str(form[""])
    return ", ".join(f"{key}: {shape}" for key, shape in form.items())
