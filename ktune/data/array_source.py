"""Arrays that are in memory already."""

from dataclasses import dataclass
from typing import Any

from ktune.data.assembly import assemble
from ktune.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Arrays:
    """Features and targets as arrays, with a test set of their own or without.

    Attributes:
        x: Features of n rows: an array, a DataFrame, or a dict of arrays.
        y: Targets, shape (n,) or (n, k).
        x_test: Features of the data's own test set, if it has one.
        y_test: Its targets, written like ``y``.
        name: Recorded with every search.
        task: "binary", "multiclass", "multilabel" or "regression". None: read it off
            the targets, as `ktune.data.coding` tells.
        kind: "tabular", "image" or "sequence". None: read it off the features, as
            `ktune.data.features` tells.
        class_names: Names for the sorted labels; empty: the labels themselves.
        groups: One label a row; rows of a group are never split.
        times: A number or date a row; folds and test set then look ahead in time.
    """

    x: Any
    y: Any
    x_test: Any = None
    y_test: Any = None
    name: str = "arrays"
    task: str | None = None
    kind: str | None = None
    class_names: tuple[str, ...] = ()
    groups: Any = None
    times: Any = None

    def load(self) -> Dataset:
        """Check the arrays and code the targets."""
        return assemble(
            self.x,
            self.y,
            name=self.name,
            x_test=self.x_test,
            y_test=self.y_test,
            task=self.task,
            kind=self.kind,
            class_names=tuple(self.class_names),
            groups=self.groups,
            times=self.times,
        )
