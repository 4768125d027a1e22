"""Encoding of targets as numbers for a model.

The task inferred from the targets, unless ``task=`` is set:

| targets | task |
|---|---|
| text, booleans, pandas categories | classes |
| whole numbers, at most 20 different ones, or exactly 0 … k-1 | classes |
| whole numbers as floats, if there are two or they count from 0 or 1 | classes |
| all other numbers | regression |
| a matrix of 0 and 1 with a single 1 in each row | classes |
| any other matrix of 0 and 1 | multilabel |
| any other matrix of numbers | regression with several targets |

Two classes make a binary task, more classes a multiclass one. Numbers are classes only
with at least two rows per value on average, or ten for more than 20 values: the years
of 300 films are measurements, the labels of CIFAR-100 are classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.dataset import Task
from ktune.data.numeric_targets import check_no_numeric_text, mixture
from ktune.errors import DataError

FEW_VALUES = 20
"""Maximum number of different whole numbers that are always classes."""


@dataclass(frozen=True, eq=False)
class TargetCoding:
    """The encoding of targets, fitted on the training rows.

    Attributes:
        task: Task of the targets.
        class_names: Names of the classes in the order of their numbers, or of the
            labels in the order of the columns; empty for regression.
        labels: The values encoded as class 0, 1, …; None if targets are no labels.
    """

    task: Task
    class_names: tuple[str, ...] = ()
    labels: np.ndarray | None = None

    def encode(self, y: Any, *, name: str) -> np.ndarray:
        """Return targets in the form of ``Dataset.y``.

        Args:
            y: n targets as an array, list, Series or DataFrame.
            name: Name of the data, for messages.

        Raises:
            DataError: There are unknown classes, another number of columns, or values
                that are not numbers.
        """
        y = as_target_array(y, name=name)
        if self.task is Task.REGRESSION:
            return _as_measurements(y, name)
        if self.task is Task.MULTILABEL:
            self._check_width(y, name)
            return _as_zeros_and_ones(y, name)
        if y.ndim == 2:
            self._check_width(y, name)
            return _as_one_hot(y, name).argmax(axis=1).astype(np.int64)
        return self._class_numbers(y, name)

    def _class_numbers(self, y: np.ndarray, name: str) -> np.ndarray:
        assert self.labels is not None, "classes of shape (n,) always have labels"
        numbers = pd.Index(self.labels).get_indexer(pd.Index(y))
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            raise DataError(
                f"{name}: target {y[unknown].tolist()[0]!r} (row {unknown[0]}) is none "
                f"of the {len(self.class_names)} classes of the training rows: "
                f"{shorten(self.class_names)}. Training and test targets must be "
                "written alike."
            )
        return numbers.astype(np.int64)

    def _check_width(self, y: np.ndarray, name: str) -> None:
        if y.ndim != 2 or y.shape[1] != len(self.class_names):
            raise DataError(
                f"{name}: targets have shape {y.shape}; ({len(y)}, "
                f"{len(self.class_names)}) is needed, one column for each of "
                f"{shorten(self.class_names)}."
            )


def make_coding(
    y: Any,
    *,
    name: str,
    task: Task | None = None,
    class_names: tuple[str, ...] = (),
) -> TargetCoding:
    """Fit the encoding on the training targets.

    Args:
        y: Targets, shape (n,) or (n, k).
        name: Name of the data, for messages.
        task: Task of the targets; None: inferred from them.
        class_names: Names of the sorted labels (for a matrix, of the columns), shown
            instead of the labels.

    Raises:
        DataError: The targets are malformed or constant.
    """
    array = as_target_array(y, name=name)
    _check_varied(array, name)
    check_no_numeric_text(array, name=name, task=task)
    task = task or infer_task(array)
    if task is Task.REGRESSION:
        _as_measurements(array, name)
        return TargetCoding(task)
    columns = _column_names(y, array)
    if task is Task.MULTILABEL:
        return _coding_of_labels(array, class_names or columns, name)
    if array.ndim == 2:
        return _coding_of_one_hot(array, task, class_names or columns, name)
    return _coding_of_classes(array, task, class_names, name)


def infer_task(y: np.ndarray) -> Task:
    """Return the task inferred from the targets; see the table of this module.

    Example:
        >>> infer_task(np.array([3, 7, 7, 3])).value
        'binary'
        >>> infer_task(np.array([3.5, 7.0, 7.25, 3.0])).value
        'regression'
    """
    if y.ndim == 2:
        if not _is_zeros_and_ones(y):
            return Task.REGRESSION
        if not (y.sum(axis=1) == 1).all():
            return Task.MULTILABEL
        return Task.BINARY if y.shape[1] == 2 else Task.MULTICLASS
    labels = np.unique(y)
    if y.dtype.kind in "iuf" and not _are_class_labels(labels, y):
        return Task.REGRESSION
    return Task.BINARY if len(labels) == 2 else Task.MULTICLASS


def as_target_array(y: Any, *, name: str) -> np.ndarray:
    """Return targets as an array of booleans, numbers or text without missing values.

    Returns:
        Shape (n,) or (n, k); a single column becomes shape (n,). Text has type
        object, numbers are in native byte order.

    Raises:
        DataError: Targets are ragged, missing, infinite, of mixed types or of rank 3.
    """
    if isinstance(y, pd.Series | pd.DataFrame | pd.Categorical):
        y = y.to_numpy()
    try:
        array = as_plain_array(y)
    except ValueError as error:
        raise DataError(
            f"{name}: the targets are ragged, rows have different lengths. Give an "
            "array of shape (n,) or (n, k)."
        ) from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or array.size == 0:
        raise DataError(
            f"{name}: targets have shape {array.shape}; (n,) or (n, k) with at least "
            "one row is needed."
        )
    array = _as_simple_type(array, name)
    _check_complete(array, name)
    return array


def shorten(names: tuple[str, ...], at_most: int = 10) -> str:
    """Return the names for a message, truncated if there are many."""
    shown = ", ".join(repr(name) for name in names[:at_most])
    return shown + (f", … ({len(names)} in all)" if len(names) > at_most else "")


def as_plain_array(values: Any) -> np.ndarray:
    """Return values as an array; numbers mixed with text stay numbers.

    Raises:
        ValueError: The values are ragged.
    """
    array = np.asarray(values)
    is_array = hasattr(values, "dtype")
    if array.dtype.kind == "U" and not is_array:
        return np.asarray(values, dtype=object)
    return array


def _as_simple_type(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind in "UT":
        return array.astype(object)
    if array.dtype.kind == "O":
        return _as_one_type(array, name)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: targets of type {array.dtype} cannot be learned. Turn them into "
            "numbers or text."
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _as_one_type(array: np.ndarray, name: str) -> np.ndarray:
    """Convert Python objects to booleans or numbers; text is unchanged."""
    missing = pd.isna(array)
    _raise_if_missing(missing, name)
    each = [_kind_of(item) for item in array.flat]
    kinds = set(each)
    if kinds == {"text"}:
        return array
    if kinds == {"boolean"}:
        return array.astype(bool)
    if kinds == {"number"}:
        return np.array(array.tolist())
    if len(kinds) > 1:
        raise DataError(mixture(array, each, name))
    raise DataError(
        f"{name}: the targets hold {each[0]}; numbers or text are needed (a ragged "
        "list of lists is no matrix)."
    )


def _kind_of(item: Any) -> str:
    if isinstance(item, str):
        return "text"
    if isinstance(item, bool | np.bool_):
        return "boolean"
    if isinstance(item, int | float | np.integer | np.floating):
        return "number"
    return f"objects of type {type(item).__name__}"


def _check_complete(array: np.ndarray, name: str) -> None:
    if array.dtype.kind == "f":
        _raise_if_missing(np.isnan(array), name)
        infinite = np.isinf(array)
        if infinite.any():
            raise DataError(
                f"{name}: {int(infinite.sum())} targets are infinite, the first in "
                f"row {_first_row(infinite)}. Remove or correct those rows."
            )


def _raise_if_missing(missing: np.ndarray, name: str) -> None:
    if missing.any():
        raise DataError(
            f"{name}: {int(missing.sum())} targets are missing (NaN), the first in row "
            f"{_first_row(missing)}. Remove those rows, for instance with dropna()."
        )


def _first_row(marks: np.ndarray) -> int:
    return int(np.argwhere(marks)[0][0])


def _check_varied(y: np.ndarray, name: str) -> None:
    if (y == y[0]).all():
        raise DataError(
            f"{name}: all {len(y)} targets are {y[:1].tolist()[0]!r}: there is only a "
            "single class or value, so nothing to learn. Check which column is the "
            "target."
        )


def _is_zeros_and_ones(y: np.ndarray) -> bool:
    return y.dtype.kind in "biuf" and bool(np.isin(y, (0, 1)).all())


def _are_class_labels(labels: np.ndarray, y: np.ndarray) -> bool:
    """Whether the distinct numbers are labels, not measurements."""
    is_float = labels.dtype.kind == "f"
    if is_float and not np.array_equal(labels, np.round(labels)):
        return False
    # Python's integers, because the difference may overflow the type of the array.
    first, last = int(labels[0]), int(labels[-1])
    counts_from = first if last - first == len(labels) - 1 else None
    if len(labels) > FEW_VALUES:
        return not is_float and counts_from == 0 and len(y) >= 10 * len(labels)
    if len(y) < 2 * len(labels):
        return False
    return not is_float or len(labels) == 2 or counts_from in (0, 1)


def _as_measurements(y: np.ndarray, name: str) -> np.ndarray:
    if y.dtype == object:
        check_no_numeric_text(y, name=name, task=Task.REGRESSION)
        y = y.astype(np.float64)
        _check_complete(y, name)
    if np.abs(y.astype(np.float64)).max() > np.finfo(np.float32).max:
        raise DataError(
            f"{name}: the targets reach {np.abs(y).max()}, too large for a 32-bit "
            "float. Rescale them."
        )
    return y.astype(np.float32)


def _as_zeros_and_ones(y: np.ndarray, name: str) -> np.ndarray:
    if not _is_zeros_and_ones(y):
        raise DataError(
            f"{name}: a multilabel target must hold 0 and 1 only; got type {y.dtype}, "
            f"for instance {y[0].tolist()!r}."
        )
    return y.astype(np.int64)


def _as_one_hot(y: np.ndarray, name: str) -> np.ndarray:
    if not _is_zeros_and_ones(y) or not (y.sum(axis=1) == 1).all():
        raise DataError(
            f"{name}: targets of shape {y.shape} are no classes: each row must hold a "
            "single 1 and otherwise 0. Give class labels of shape (n,), or set `task`."
        )
    return y


def _column_names(y: Any, array: np.ndarray) -> tuple[str, ...]:
    if array.ndim == 1:
        return ()
    if isinstance(y, pd.DataFrame):
        return tuple(str(column) for column in y.columns)
    return tuple(str(index) for index in range(array.shape[1]))


def _coding_of_labels(
    y: np.ndarray, columns: tuple[str, ...], name: str
) -> TargetCoding:
    if y.ndim != 2:
        raise DataError(
            f"{name}: a multilabel target needs shape (n, k), a column of 0 and 1 for "
            f"each label; got shape {y.shape}."
        )
    _as_zeros_and_ones(y, name)
    return TargetCoding(Task.MULTILABEL, _checked_names(columns, y.shape[1], name))


def _coding_of_one_hot(
    y: np.ndarray, task: Task, columns: tuple[str, ...], name: str
) -> TargetCoding:
    absent = np.flatnonzero(_as_one_hot(y, name).sum(axis=0) == 0)
    names = _checked_names(columns, y.shape[1], name)
    if len(absent):
        raise DataError(
            f"{name}: no training row is of class {names[absent[0]]!r} (column "
            f"{absent[0]} of the one-hot targets). Remove that column."
        )
    _check_two_classes(names, task, name)
    return TargetCoding(task, names)


def _coding_of_classes(
    y: np.ndarray, task: Task, class_names: tuple[str, ...], name: str
) -> TargetCoding:
    labels = np.unique(y)
    names = class_names or tuple(_label_name(label) for label in labels.tolist())
    names = _checked_names(names, len(labels), name)
    _check_two_classes(names, task, name)
    return TargetCoding(task, names, labels)


def _label_name(label: Any) -> str:
    is_whole = isinstance(label, float) and label.is_integer()
    return str(int(label)) if is_whole else str(label)


def _checked_names(
    names: tuple[str, ...], n_classes: int, name: str
) -> tuple[str, ...]:
    if len(names) == n_classes and len(set(names)) == n_classes:
        return tuple(str(class_name) for class_name in names)
    raise DataError(
        f"{name}: the targets have {n_classes} classes, but {len(set(names))} "
        f"different class names are given: {shorten(names)}."
    )


def _check_two_classes(names: tuple[str, ...], task: Task, name: str) -> None:
    if task is Task.BINARY and len(names) != 2:
        raise DataError(
            f"{name}: a binary task needs two classes; the targets have {len(names)}: "
            f"{shorten(names)}. Use task='multiclass', or merge classes."
        )
