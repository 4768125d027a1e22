"""A DataFrame that is in memory already."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ktune.data.assembly import assemble
from ktune.dataset import Dataset
from ktune.errors import DataError
from ktune.spelling import did_you_mean


@dataclass(frozen=True, eq=False)
class Table:
    """A table of features with its target in one column or several.

    Attributes:
        frame: Rows and columns. Text columns are categories.
        target: Name of the target column; several names for several targets.
        test: A table of the same columns that is the data's own test set.
        drop: Columns that are neither features nor target, such as an id.
        groups: Name of a column whose rows of equal value are never split; it is no
            feature.
        name: Recorded with every search.
        task: "binary", "multiclass", "multilabel" or "regression". None: read it off
            the targets, as `ktune.data.coding` tells.
    """

    frame: pd.DataFrame
    target: str | Sequence[str]
    test: pd.DataFrame | None = None
    drop: Sequence[str] = ()
    groups: str | None = None
    name: str = "table"
    task: str | None = None

    def load(self) -> Dataset:
        """Take features, target and groups apart and check them."""
        test = self.test
        return assemble(
            self._features(self.frame),
            self._targets(self.frame),
            name=self.name,
            x_test=None if test is None else self._features(test),
            y_test=None if test is None else self._targets(test),
            task=self.task,
            groups=None if self.groups is None else self.frame[self.groups],
        )

    def _features(self, frame: pd.DataFrame) -> pd.DataFrame:
        others = [*_as_list(self.target), *_as_list(self.drop), *_as_list(self.groups)]
        for column in others:
            check_column(frame, column, name=self.name)
        return frame.drop(columns=others)

    def _targets(self, frame: pd.DataFrame) -> Any:
        if isinstance(self.target, str):
            return frame[self.target]
        return frame[list(self.target)]


def check_column(frame: pd.DataFrame, column: str, *, name: str) -> None:
    """Check that a table has a column of that name, and only one.

    Raises:
        DataError: With the columns there are and the nearest spelling.
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
    )


def _as_list(names: str | Sequence[str] | None) -> list[str]:
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)
