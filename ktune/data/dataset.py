"""The data set that a source returns, and its description for a builder."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from ktune.data.large_arrays import take
from ktune.data.nest import Nest, parts_of

Inputs: TypeAlias = np.ndarray | pd.DataFrame | Mapping[str, Any]
"""Rows of features: one array, one table, or one array per named model input; a table
has images beside it, see `ktune.data.table_and_images`."""

Targets: TypeAlias = Any
"""Rows of targets: one array; a `Nest` of arrays for a custom task with several."""

EXAMPLE_ROWS = 5
"""Number of raw rows in the input example of a registered model."""


class Task(StrEnum):
    """The task of a model."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"
    CUSTOM = "custom"
    """Any arrays; the model's own compiled loss and metrics score them."""

    @property
    def is_classification(self) -> bool:
        """Whether each row has exactly one class."""
        return self in (Task.BINARY, Task.MULTICLASS)


class Kind(StrEnum):
    """The kind of the features, which selects the preprocessing of "auto"."""

    TABULAR = "tabular"
    IMAGE = "image"
    SEQUENCE = "sequence"
    SEVERAL = "several"
    TABLE_AND_IMAGES = "table_and_images"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows, targets and their metadata, before any split.

    Attributes:
        name: Name of the data set, recorded with every search.
        x: Features of ``n`` rows.
        y: Targets. Class numbers 0 … k-1, shape (n,), for classes; 0/1 of shape
            (n, k) for several labels; float32 of shape (n,) or (n, k) for regression;
            for a custom task any array, or a `Nest` of arrays.
        task: Task of ``y``.
        kind: Kind of ``x``.
        class_names: In the order of the class numbers; empty for regression.
        feature_names: Columns of the table; empty for other data.
        x_test: Features of the test set of the source; None: no such test set.
        y_test: Targets of that test set, encoded like ``y``.
        groups: One label for each row; rows of a group are never split. None: no
            groups.
        times: Ascending, one for each row; validation and test rows are later than
            training rows. None: any order.
        weights: Weight of each row in training and scores; None: all count the same.
        weights_test: Weights of the test set; None: all count the same.
        notes: Notes for the user on how the data were read.
        source_digest: Hash of the source files if decoding may give different numbers
            on different machines (JPEG); "" otherwise.
        reading: Format of the file of a table, as JSON values, for reading new rows
            in the same way; None for other data.
    """

    name: str
    x: Inputs
    y: Targets
    task: Task
    kind: Kind
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    x_test: Inputs | None = None
    y_test: Targets | None = None
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    weights: np.ndarray | None = None
    weights_test: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    source_digest: str = ""
    reading: Mapping[str, Any] | None = None

    @property
    def n_outputs(self) -> int:
        """Number of classes, labels, regression targets, or arrays of targets."""
        if self.task.is_classification:
            return len(self.class_names)
        if self.task is Task.CUSTOM:
            return len(parts_of(self.y))
        return 1 if self.y.ndim == 1 else self.y.shape[1]

    @property
    def n_rows(self) -> int:
        """Number of rows, without the test set of the source."""
        return len(self.y)

    @property
    def digest(self) -> str:
        """Hash of the content, the same on every machine."""
        hasher = hashlib.sha256(self.source_digest.encode())
        parts: list[Any] = [self.y, self.y_test, self.groups]
        if not self.source_digest:
            parts = [self.x, self.y, self.x_test, self.y_test, self.groups]
        optional = (self.times, self.weights, self.weights_test)
        parts += [part for part in optional if part is not None]
        for part in parts:
            hash_part(hasher, part)
        return hasher.hexdigest()[:16]


@dataclass(frozen=True)
class DataDescription:
    """The description of the data for a build function.

    Attributes:
        name: Name of the data set.
        task: Task of the data.
        input_shape: Shape of one preprocessed row, without the batch axis; a mapping
            from input name to shape for several inputs.
        n_outputs: Classes (2 for binary), labels, regression targets, or arrays of
            targets of a custom task.
        n_rows: Rows available for training and validation together.
        class_names: In the order of the class numbers; empty for regression.
        target_shape: Of a custom task, the shape of a row of targets; in the structure
            of the targets if they are several arrays.
    """

    name: str
    task: Task
    input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]
    n_outputs: int
    n_rows: int
    class_names: tuple[str, ...] = ()
    target_shape: Any = ()


def take_rows(x: Inputs, rows: np.ndarray) -> Inputs:
    """Return the rows at the given positions, in that order."""
    if isinstance(x, pd.DataFrame):
        return x.iloc[rows]
    if isinstance(x, Mapping):
        return {name: take_rows(part, rows) for name, part in x.items()}
    return take(x, rows)


def count_rows(x: Inputs) -> int:
    """Return the number of rows of the inputs."""
    if isinstance(x, Mapping):
        return len(next(iter(x.values())))
    return len(x)


def input_shape(x: Inputs) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
    """Return the shape of one row; for several inputs, by input name."""
    if isinstance(x, Mapping):
        return {name: tuple(part.shape[1:]) for name, part in x.items()}
    return tuple(x.shape[1:])


def hash_part(hasher: "hashlib._Hash", part: Any) -> None:
    """Add the content of features or targets to a hash."""
    if isinstance(part, Nest):
        part = part.parts
    if part is None:
        hasher.update(b"none")
    elif isinstance(part, pd.DataFrame):
        for name in part.columns:
            hasher.update(str(name).encode())
            _hash_array(hasher, part[name].to_numpy())
    elif isinstance(part, Mapping):
        for name, one in part.items():
            hasher.update(name.encode())
            hash_part(hasher, one)
    else:
        _hash_array(hasher, part)


def _hash_array(hasher: "hashlib._Hash", array: np.ndarray) -> None:
    hasher.update(str(array.shape).encode())
    if array.dtype.kind in "OUT":
        # The byte layout of text depends on the platform; its repr does not.
        for item in array.ravel().tolist():
            hasher.update(repr(item).encode() + b"\0")
        return
    little_endian = array.dtype.newbyteorder("<")
    hasher.update(little_endian.str.encode())
    hasher.update(np.ascontiguousarray(array, dtype=little_endian).data)
