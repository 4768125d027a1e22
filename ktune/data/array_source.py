"""Arrays in memory."""

from dataclasses import dataclass
from typing import Any

from ktune.data.assembly import assemble
from ktune.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Arrays:
    """Features and targets as arrays, optionally with a test set.

    Attributes:
        x: Features of n rows: an array, a DataFrame, or a dict or list of arrays, one
            for each input of the model.
        y: Targets, shape (n,) or (n, k); of a custom task any array, or a dict or list
            of arrays, one for each output.
        x_test: Features of the test set; None: no test set.
        y_test: Targets of the test set, in the form of ``y``.
        name: Name of the data set, recorded with every search.
        task: "binary", "multiclass", "multilabel", "regression" or "custom". None:
            inferred from the targets, see `ktune.data.coding` and
            `ktune.data.custom_targets`.
        kind: "tabular", "image" or "sequence". None: inferred from the features, see
            `ktune.data.features`.
        class_names: Names of the sorted labels; empty: the labels themselves.
        groups: One label for each row; rows of a group are never split.
        times: A number or date for each row; validation and test rows are then later
            than training rows.
        weights: A number for each row, its weight in training and scores.
        weights_test: Weights of the test set, in scores.
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
    weights: Any = None
    weights_test: Any = None

    def load(self) -> Dataset:
        """Validate the arrays and encode the targets."""
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
            weights=self.weights,
            weights_test=self.weights_test,
        )
