"""A table in a file: csv, parquet, or a sheet of a workbook."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ktune.data.csv_reader import Expected
from ktune.data.dataset import Dataset
from ktune.data.image_column import ImageColumn
from ktune.data.table_format import MISSING, ReadTable, TableFormat
from ktune.data.table_source import Table, as_list
from ktune.errors import DataError
from ktune.utils.text import count_of


class TableReader(Protocol):
    """A reader of files of one format."""

    def __call__(
        self, path: Path, given: TableFormat, expected: Expected | None = None
    ) -> ReadTable:
        """Return the table of a file."""


@dataclass(frozen=True)
class TableFile:
    """A table in a file, optionally with a second file of test rows.

    Attributes:
        path: Path of the file, absolute or relative to the working folder.
        read: Reader of the format.
        target: Name of the target column; several names for several targets.
        test: A file of the same columns with the test set; None: no test set.
        drop: Columns that are neither features nor target, such as an id.
        groups: Name of a column of groups, which is no feature; rows of a group are
            never split.
        time: Name of a column of dates or numbers, which is no feature; validation
            and test rows are then later than training rows.
        name: Name of the data set, recorded with every search. None: the name of the
            file.
        task: "binary", "multiclass", "multilabel" or "regression". None: inferred
            from the targets, see `ktune.data.coding`.
        format: Table format of the user.
        weights: Name of a column with the weight of each row in training and scores,
            which is no feature; the table of the test set may lack it.
        images: Name of a column with the path of an image in each row, relative to
            the folder of the file, or an `ImageColumn`; the model then has two inputs,
            ``table`` and ``images``.
    """

    path: str | Path
    read: TableReader
    target: str | Sequence[str]
    test: str | Path | None = None
    drop: Sequence[str] = ()
    groups: str | None = None
    time: str | None = None
    name: str | None = None
    task: str | None = None
    format: TableFormat = field(default_factory=TableFormat)
    weights: str | None = None
    images: str | ImageColumn | None = None

    def load(self) -> Dataset:
        """Read the file, and split and validate features and targets."""
        path = Path(self.path).expanduser()
        read = self.read(path, self.format)
        table = Table(
            frame=read.frame,
            target=self.target,
            test=self._read_test(read),
            drop=self.drop,
            groups=self.groups,
            time=self.time,
            name=self.name or path.name,
            task=self.task,
            weights=self.weights,
            images=self.images,
            folders=(path.parent, Path(self.test or path).expanduser().parent),
        )
        _check_targets(path, read, as_list(self.target))
        dataset = table.load()
        return replace(
            dataset,
            notes=(*dataset.notes, *read.notes),
            reading=_reading(read, dataset),
        )

    def _read_test(self, train: ReadTable) -> pd.DataFrame | None:
        """Read the test rows in the format and with the types of the training rows."""
        if self.test is None:
            return None
        path = Path(self.test).expanduser()
        if train.format is None:
            return self.read(path, self.format).frame
        given = replace(train.format, encoding=self.format.encoding)
        read = self.read(path, given, Expected(number_columns(train.frame)))
        _check_targets(path, read, as_list(self.target))
        return read.frame


def _reading(read: ReadTable, dataset: Dataset) -> dict[str, Any] | None:
    """Return how to read new rows in the same way."""
    of_file = {} if read.format is None else read.format.as_dict()
    return {**of_file, **(dataset.reading or {})} or None


def number_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns of numbers."""
    return tuple(
        str(name)
        for name in frame.columns
        if pd.api.types.is_numeric_dtype(frame[name])
        and not pd.api.types.is_bool_dtype(frame[name])
    )


def _check_targets(path: Path, read: ReadTable, targets: Sequence[str]) -> None:
    """Check that no word was read as a missing target, because it may be a class.

    Raises:
        DataError: A target is missing; the message names the word.
    """
    for name in targets:
        words = [word for word in read.missing.get(name, ()) if word.word.strip()]
        if not words:
            continue
        first = words[0]
        remedy = "Remove or correct those rows."
        if first.word in MISSING and not pd.api.types.is_numeric_dtype(
            read.frame[name]
        ):
            remedy = (
                f"If {first.word!r} is a class, say not_missing=[{first.word!r}]; "
                "otherwise remove those rows."
            )
        listed = ", ".join(
            f"{word.word!r} in {count_of(word.count, 'row')} (first row {word.row})"
            for word in words[:3]
        )
        raise DataError(
            f"{path}: targets are missing in column {name!r}: {listed}. {remedy}"
        )
