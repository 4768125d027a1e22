"""The library of models for an ensemble, with their out-of-fold predictions."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.errors import UnknownReference
from ktune.metrics.scores import Objective, compute_metrics
from ktune.tracking import names
from ktune.tracking.reader import RunView, list_trials, rank_trials, read_run_file
from ktune.tracking.store import Store

MAX_MODELS = 30
"""Number of the best trials in the library; worse ones are hardly ever selected."""


@dataclass(frozen=True, eq=False)
class Library:
    """Out-of-fold predictions of several trials for the same rows.

    Attributes:
        runs: The trials, best first.
        predictions: In the form of `compute_metrics`, shape (trials, rows, …).
        y: Targets of the rows.
        folds: Positions of the validation rows of each fold.
        task: The task.
        objective: The objective.
    """

    runs: tuple[RunView, ...]
    predictions: np.ndarray
    y: np.ndarray
    folds: tuple[np.ndarray, ...]
    task: Task
    objective: Objective

    def score(self, predictions: np.ndarray, folds: Sequence[int]) -> float:
        """Return the mean of the objective over some folds, larger is better.

        Args:
            predictions: For all rows, shape (rows, …).
            folds: Indices of the folds.
        """
        return float(np.mean([self.fold_score(predictions, k) for k in folds]))

    def fold_score(self, predictions: np.ndarray, fold: int) -> float:
        """Return the objective on one fold, larger is better."""
        metric, rows = self.objective.metric, self.folds[fold]
        scores = compute_metrics((metric,), self.y[rows], predictions[rows], self.task)
        return self.sign * scores[metric]

    @property
    def sign(self) -> float:
        """1 if more is better, else -1."""
        return 1.0 if self.objective.direction == "max" else -1.0


def read_library(
    store: Store, search: RunView, *, task: Task, objective: Objective
) -> Library:
    """Read the out-of-fold predictions of a search's best complete trials.

    Raises:
        UnknownReference: Fewer than two trials are complete.
    """
    ranked = rank_trials(list_trials(store, search), search.goal)
    runs = [run for run in ranked if run.state == "complete"][:MAX_MODELS]
    if len(runs) < 2:
        raise UnknownReference(
            f"search {search.run_id[:8]} of {search.experiment!r} has {len(runs)} "
            "complete trials; an ensemble needs at least two"
        )
    tables = [_read(store, run) for run in runs]
    if any(not np.array_equal(t["row"], tables[0]["row"]) for t in tables):
        tables = [_by_row(table) for table in tables]  # reshuffled for every trial
    if any(not np.array_equal(t["row"], tables[0]["row"]) for t in tables):
        raise UnknownReference(
            f"the trials of search {search.run_id[:8]} were scored on different rows, "
            "so their predictions cannot be combined"
        )
    fold = tables[0]["fold"]
    return Library(
        runs=tuple(runs),
        predictions=np.stack([table["prediction"] for table in tables]).astype(
            np.float32
        ),
        y=tables[0]["target"],
        folds=tuple(np.flatnonzero(fold == k) for k in np.unique(fold)),
        task=task,
        objective=objective,
    )


def _by_row(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    order = np.argsort(table["row"], kind="stable")
    return {name: array[order] for name, array in table.items()}


def _read(store: Store, run: RunView) -> dict[str, np.ndarray]:
    content = read_run_file(store, run, names.OUT_OF_FOLD_FILE)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
