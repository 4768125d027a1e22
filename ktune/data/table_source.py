"""A DataFrame in memory."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ktune.data.assembly import assemble
from ktune.data.coding import shorten
from ktune.data.dataset import Dataset, Kind, hash_part
from ktune.data.files import header_hint
from ktune.data.image_column import (
    ImageColumn,
    RowImages,
    as_image_column,
    read_row_images,
)
from ktune.data.table_and_images import IMAGES, TABLE, table_of
from ktune.errors import DataError
from ktune.utils.text import count_of, did_you_mean

IMAGE_COLUMN = "image_column"
"""Key of ``Dataset.reading`` for the name of the column of paths."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table with features and one or several target columns.

    Attributes:
        frame: Rows and columns. Text columns are categories.
        target: Name of the target column; several names for several targets.
        test: A table of the same columns with the test set; None: no test set.
        drop: Columns that are neither features nor target, such as an id.
        groups: Name of a column of groups, which is no feature; rows of a group are
            never split.
        time: Name of a column of dates or numbers, which is no feature; validation
            and test rows are then later than training rows.
        name: Name of the data set, recorded with every search.
        task: "binary", "multiclass", "multilabel" or "regression". None: inferred
            from the targets, see `ktune.data.coding`.
        weights: Name of a column with the weight of each row in training and scores,
            which is no feature; the table of the test set may lack it.
        images: Name of a column with the path of an image in each row, or an
            `ImageColumn`; the model then has two inputs, ``table`` and ``images``.
        folders: Folders of relative paths to images, of ``frame`` and of ``test``.
    """

    frame: pd.DataFrame
    target: str | Sequence[str]
    test: pd.DataFrame | None = None
    drop: Sequence[str] = ()
    groups: str | None = None
    time: str | None = None
    name: str = "table"
    task: str | None = None
    weights: str | None = None
    images: str | ImageColumn | None = None
    folders: tuple[Path, Path] = (Path(), Path())

    def load(self) -> Dataset:
        """Split and validate features, targets and groups; decode images."""
        column = as_image_column(self.images)
        return self._tables() if column is None else self._with_images(column)

    def _with_images(self, column: ImageColumn) -> Dataset:
        frames = [frame for frame in (self.frame, self.test) if frame is not None]
        images = [
            self._read_images(column, frame, folder)
            for frame, folder in zip(frames, self.folders, strict=False)
        ]
        x, *x_test = (
            {
                TABLE: self._features(frame).drop(columns=column.column),
                IMAGES: found.pixels,
            }
            for frame, found in zip(frames, images, strict=True)
        )
        dataset = self._assemble(
            x, x_test[0] if x_test else None, Kind.TABLE_AND_IMAGES
        )
        return replace(
            dataset,
            source_digest=_digest(dataset, images),
            reading={IMAGE_COLUMN: column.column},
        )

    def _read_images(
        self, column: ImageColumn, frame: pd.DataFrame, folder: Path
    ) -> RowImages:
        check_column(frame, column.column, name=self.name)
        if column.folder is not None:
            folder = Path(column.folder).expanduser()
        paths = frame[column.column]
        return read_row_images(paths, column.form, folder, name=self.name)

    def _tables(self) -> Dataset:
        test = None if self.test is None else self._features(self.test)
        return self._assemble(self._features(self.frame), test, None)

    def _assemble(self, x: Any, x_test: Any, kind: Kind | None) -> Dataset:
        test = self.test
        dataset = assemble(
            x,
            self._targets(self.frame),
            name=self.name,
            x_test=x_test,
            y_test=None if test is None else self._targets(test),
            task=self.task,
            kind=kind,
            groups=None if self.groups is None else self.frame[self.groups],
            times=None if self.time is None else self.frame[self.time],
            weights=self._weights(self.frame),
            weights_test=None if test is None else self._weights(test, optional=True),
        )
        return replace(dataset, notes=(describe(dataset, as_list(self.target)),))

    def _features(self, frame: pd.DataFrame) -> pd.DataFrame:
        others = [
            column
            for names in (self.target, self.drop, self.groups, self.time)
            for column in as_list(names)
        ]
        if self.weights is not None and (
            frame is self.frame or self.weights in frame.columns
        ):
            others.append(self.weights)
        for column in others:
            check_column(frame, column, name=self.name)
        return frame.drop(columns=others)

    def _weights(self, frame: pd.DataFrame, *, optional: bool = False) -> Any:
        if self.weights is None or (optional and self.weights not in frame.columns):
            return None
        return frame[self.weights]

    def _targets(self, frame: pd.DataFrame) -> Any:
        if isinstance(self.target, str):
            return frame[self.target]
        return frame[list(self.target)]


def _digest(dataset: Dataset, images: Sequence[RowImages]) -> str:
    """Return a hash of the tables and of the files of the images."""
    hasher = hashlib.sha256(repr([part.digest for part in images]).encode())
    for x in (dataset.x, dataset.x_test):
        hash_part(hasher, table_of(x))
    return hasher.hexdigest()


def check_column(frame: pd.DataFrame, column: str, *, name: str) -> None:
    """Check that a table has exactly one column of a name.

    Raises:
        DataError: The message lists the columns and the nearest name.
    """
    known = [str(label) for label in frame.columns]
    count = list(frame.columns).count(column)
    if count == 1:
        return
    if count > 1:
        raise DataError(f"{name}: column {column!r} occurs {count} times. Rename one.")
    shown = ", ".join(known[:30]) + (", …" if len(known) > 30 else "")
    raise DataError(
        f"{name}: there is no column {column!r}. Columns: {shown}."
        + did_you_mean(str(column), known)
        + header_hint(known)
    )


def describe(dataset: Dataset, targets: Sequence[str]) -> str:
    """Return a sentence about a table: rows, target, kinds of columns."""
    frame = table_of(dataset.x)
    assert frame is not None
    text = [name for name in frame.columns if frame[name].dtype == object]
    numbers = [name for name in frame.columns if name not in set(text)]
    kinds = []
    if numbers:
        kinds.append(
            f"{count_of(len(numbers), 'column')} of numbers ({_names_text(numbers)})"
        )
    if text:
        kinds.append(f"{len(text)} of categories ({_counts_text(frame, text)})")
    if isinstance(dataset.x, Mapping):
        shape = "×".join(map(str, dataset.x[IMAGES].shape[1:]))
        kinds.append(f"an image of {shape} in each row")
    listed = ", ".join(repr(name) for name in targets)
    outcome = (
        f"{dataset.task.value}, {dataset.n_outputs} classes "
        f"{shorten(dataset.class_names, 6)}"
        if dataset.task.is_classification
        else dataset.task.value
    )
    return (
        f"{dataset.name}: {dataset.n_rows:,} rows; target {listed}: {outcome}; "
        f"features: {', '.join(kinds)}"
    )


def _names_text(names: Sequence[str], at_most: int = 5) -> str:
    return ", ".join(names[:at_most]) + (", …" if len(names) > at_most else "")


def _counts_text(frame: pd.DataFrame, columns: list[str], at_most: int = 5) -> str:
    counts = [f"{name}: {frame[name].nunique()}" for name in columns[:at_most]]
    return ", ".join(counts) + (", …" if len(columns) > at_most else "")


def as_list(names: str | Sequence[str] | None) -> list[str]:
    """Return a list of one, several or no names of columns."""
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)
