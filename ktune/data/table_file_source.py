"""A table in a file: csv or parquet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ktune.data.dataset import Dataset
from ktune.data.table_source import Table


@dataclass(frozen=True)
class TableFile:
    """A file of rows and columns, and perhaps one more with the test rows.

    Attributes:
        path: Of the file, absolute or from the working folder.
        read: Reads a file of this format.
        target: Name of the target column; several names for several targets.
        test: A file of the same columns that is the data's own test set.
        drop: Columns that are neither features nor target, such as an id.
        groups: Name of a column whose rows of equal value are never split; it is no
            feature.
        time: Name of a column of dates or numbers; folds and test set then look
            ahead in time, and it is no feature.
        name: Recorded with every search. None: the name of the file.
        task: "binary", "multiclass", "multilabel" or "regression". None: read it off
            the targets, as `ktune.data.coding` tells.
    """

    path: str | Path
    read: Callable[[Path], pd.DataFrame]
    target: str | Sequence[str]
    test: str | Path | None = None
    drop: Sequence[str] = ()
    groups: str | None = None
    time: str | None = None
    name: str | None = None
    task: str | None = None

    def load(self) -> Dataset:
        """Read the file, take features and targets apart and check them."""
        path = Path(self.path).expanduser()
        table = Table(
            frame=self.read(path),
            target=self.target,
            test=None if self.test is None else self.read(Path(self.test).expanduser()),
            drop=self.drop,
            groups=self.groups,
            time=self.time,
            name=self.name or path.name,
            task=self.task,
        )
        return table.load()
