"""What every data source yields, and what a model may know about it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from ktune.data.large_arrays import take

Inputs: TypeAlias = np.ndarray | pd.DataFrame | Mapping[str, np.ndarray]
"""Rows of features: one array, one table, or one array per named model input."""

EXAMPLE_ROWS = 5
"""How many raw rows a registered model brings as an example."""


class Task(StrEnum):
    """What is to be predicted."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        """Whether each row has exactly one class."""
        return self in (Task.BINARY, Task.MULTICLASS)


class Kind(StrEnum):
    """What the features are; it decides what ``preprocess="auto"`` does."""

    TABULAR = "tabular"
    IMAGE = "image"
    SEQUENCE = "sequence"
    SEVERAL = "several"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows, targets and what is known about them, before any split.

    Attributes:
        name: Recorded with every search.
        x: Features of ``n`` rows.
        y: Targets. Class numbers 0 … k-1, shape (n,), for classes; 0/1 of shape
            (n, k) for several labels; float32 of shape (n,) or (n, k) for regression.
        task: What ``y`` is.
        kind: What ``x`` is.
        class_names: In the order of the class numbers; empty for regression.
        feature_names: Columns of a table; empty for images and the like.
        x_test: Features of the data's own test set, if it has one.
        y_test: Targets of the data's own test set, coded like ``y``.
        groups: One label a row; rows of a group are never split. None: no groups.
        times: Ascending, one a row; folds and test set look ahead. None: any order.
        notes: What a person should know about how the data were read.
        source_digest: Hash of what the data were decoded from, where decoding need not
            give the same numbers on every machine (JPEG); "" otherwise.
        reading: How the file of a table is written, as JSON values, so that new rows
            are read alike; None for other data.
    """

    name: str
    x: Inputs
    y: np.ndarray
    task: Task
    kind: Kind
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    x_test: Inputs | None = None
    y_test: np.ndarray | None = None
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    source_digest: str = ""
    reading: Mapping[str, Any] | None = None

    @property
    def n_outputs(self) -> int:
        """Classes, labels, or regression targets."""
        if self.task.is_classification:
            return len(self.class_names)
        return 1 if self.y.ndim == 1 else self.y.shape[1]

    @property
    def n_rows(self) -> int:
        """How many rows there are, without the data's own test set."""
        return len(self.y)

    @property
    def digest(self) -> str:
        """Hash of the content, the same on every machine."""
        hasher = hashlib.sha256(self.source_digest.encode())
        parts: list[Inputs | None] = [self.y, self.y_test, self.groups]
        if not self.source_digest:
            parts = [self.x, self.y, self.x_test, self.y_test, self.groups]
        if self.times is not None:
            parts.append(self.times)
        for part in parts:
            _hash_part(hasher, part)
        return hasher.hexdigest()[:16]


@dataclass(frozen=True)
class DataDescription:
    """What a build function may know about the data its model will see.

    Attributes:
        name: Name of the data set.
        task: What is to be predicted.
        input_shape: Shape of one preprocessed row, without the batch axis; a mapping
            from input name to shape when there are several inputs.
        n_outputs: Classes (2 for binary), labels, or regression targets.
        n_rows: Rows available for training and validation together.
        class_names: In the order of the class numbers; empty for regression.
    """

    name: str
    task: Task
    input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]
    n_outputs: int
    n_rows: int
    class_names: tuple[str, ...] = ()


def take_rows(x: Inputs, rows: np.ndarray) -> Inputs:
    """Return the rows at the given positions, in that order."""
    if isinstance(x, pd.DataFrame):
        return x.iloc[rows]
    if isinstance(x, Mapping):
        return {name: take(part, rows) for name, part in x.items()}
    return take(x, rows)


def count_rows(x: Inputs) -> int:
    """Return how many rows the inputs have."""
    if isinstance(x, Mapping):
        return len(next(iter(x.values())))
    return len(x)


def input_shape(x: Inputs) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
    """Return the shape of one row, per input name when there are several."""
    if isinstance(x, Mapping):
        return {name: part.shape[1:] for name, part in x.items()}
    return tuple(x.shape[1:])


def _hash_part(hasher: "hashlib._Hash", part: Inputs | None) -> None:
    if part is None:
        hasher.update(b"none")
    elif isinstance(part, pd.DataFrame):
        for name in part.columns:
            hasher.update(str(name).encode())
            _hash_array(hasher, part[name].to_numpy())
    elif isinstance(part, Mapping):
        for name, array in part.items():
            hasher.update(name.encode())
            _hash_array(hasher, array)
    else:
        _hash_array(hasher, part)


def _hash_array(hasher: "hashlib._Hash", array: np.ndarray) -> None:
    hasher.update(str(array.shape).encode())
    if array.dtype.kind in "OUT":
        # Text has no byte layout all platforms share; its repr has.
        for item in array.ravel().tolist():
            hasher.update(repr(item).encode() + b"\0")
        return
    little_endian = array.dtype.newbyteorder("<")
    hasher.update(little_endian.str.encode())
    hasher.update(np.ascontiguousarray(array, dtype=little_endian).data)
