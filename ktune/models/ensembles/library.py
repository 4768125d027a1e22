"""The library of models for an ensemble, with their out-of-fold predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.errors import ExperimentError, UnknownReference
from ktune.evaluation.context import SearchContext
from ktune.metrics.proper_scores import proper_metric, row_losses
from ktune.tracking import names
from ktune.tracking.artifacts import read_arrays, read_run_file
from ktune.tracking.reader import RunView, list_trials, rank_trials
from ktune.tracking.store import Store

MAX_MODELS = 30
"""Number of the best trials in the library; worse ones are hardly ever selected."""

MAX_BYTES = 2**28
"""Size of their predictions; with more rows and classes there are fewer trials."""

_MIN_MODELS = 5


@dataclass(frozen=True, eq=False)
class Library:
    """Out-of-fold predictions of several trials for the same rows.

    Models are selected by a proper scoring rule: log loss, or squared error.

    Attributes:
        runs: The trials, best first.
        predictions: In the form of `compute_metrics`, shape (trials, rows, …).
        y: Targets of the rows.
        folds: Positions of the validation rows of each fold.
        task: The task.
        weights: Weight of every row; None: all rows count the same.
    """

    runs: tuple[RunView, ...]
    predictions: np.ndarray
    y: np.ndarray
    folds: tuple[np.ndarray, ...]
    task: Task
    weights: np.ndarray | None = None

    @property
    def metric(self) -> str:
        """The metric by which models are selected; less is better."""
        return proper_metric(self.task)

    def losses(self, predictions: np.ndarray) -> np.ndarray:
        """Return the loss of every row, shape (rows,)."""
        return row_losses(self.y, predictions, self.task)

    def score(self, predictions: np.ndarray, folds: Sequence[int]) -> float:
        """Return the negative mean loss over the rows of some folds.

        Args:
            predictions: For all rows, shape (rows, …).
            folds: Indices of the folds.
        """
        rows = np.concatenate([self.folds[fold] for fold in folds])
        weights = None if self.weights is None else self.weights[rows]
        return -float(np.average(self.losses(predictions)[rows], weights=weights))


def require_combinable(context: SearchContext) -> None:
    """Refuse a task whose predictions have no mean.

    Raises:
        ExperimentError: The task is custom.
    """
    if context.data.task is Task.CUSTOM:
        raise ExperimentError(
            "a mean of models is for predictions of classes or numbers, which a custom "
            "task does not have: your own loss reads its outputs. Use the best trial, "
            "or average in a model of your own."
        )


def read_library(
    store: Store,
    search: RunView,
    context: SearchContext,
    *,
    always: str = "",
    at_least: int = 2,
) -> Library:
    """Read the out-of-fold predictions of a search's best complete trials.

    Args:
        store: The store of the search.
        search: The search.
        context: Its context.
        always: Run of a trial that is in the library in any case.
        at_least: Number of complete trials.

    Raises:
        ExperimentError: The task is custom.
        UnknownReference: Fewer trials are complete.
        StoreError: The predictions of a trial are not readable.
    """
    require_combinable(context)
    runs = _best_runs(list_trials(store, search), search, context.data.task)
    if len(runs) < at_least:
        raise UnknownReference(
            f"search {search.run_id[:8]} of {search.experiment!r} has {len(runs)} "
            f"complete trials; an ensemble needs at least {at_least}"
        )
    runs.sort(key=lambda run: run.run_id != always)  # a stable sort: the others stay
    first = _read(store, runs[0])
    runs = runs[: _n_models(first)]
    tables = [first, *(_read(store, run) for run in runs[1:])]
    if any(not np.array_equal(t["row"], tables[0]["row"]) for t in tables):
        tables = [_by_row(table) for table in tables]  # reshuffled for every trial
    if any(not np.array_equal(t["row"], tables[0]["row"]) for t in tables):
        raise UnknownReference(
            f"the trials of search {search.run_id[:8]} were scored on different rows, "
            "so their predictions cannot be combined"
        )
    fold, weights = tables[0]["fold"], context.partition.weights
    return Library(
        runs=tuple(runs),
        predictions=np.stack([table["prediction"] for table in tables]).astype(
            np.float32
        ),
        y=tables[0]["target"],
        folds=tuple(np.flatnonzero(fold == k) for k in np.unique(fold)),
        task=context.data.task,
        weights=None if weights is None else weights[tables[0]["row"]],
    )


def _best_runs(trials: list[RunView], search: RunView, task: Task) -> list[RunView]:
    """Return the complete trials by the metric of the library, best first."""
    metric = "val_rmse" if task is Task.REGRESSION else f"val_{proper_metric(task)}"
    complete = [
        run for run in rank_trials(trials, search.goal) if run.state == "complete"
    ]
    return sorted(complete, key=lambda run: run.metrics.get(metric, np.inf))


def _n_models(table: dict[str, np.ndarray]) -> int:
    """Return the number of trials whose predictions fit into `MAX_BYTES`."""
    n_bytes = table["prediction"].size * np.dtype(np.float32).itemsize
    return min(MAX_MODELS, max(_MIN_MODELS, MAX_BYTES // max(n_bytes, 1)))


def _by_row(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    order = np.argsort(table["row"], kind="stable")
    return {name: array[order] for name, array in table.items()}


def _read(store: Store, run: RunView) -> dict[str, np.ndarray]:
    content = read_run_file(store, run, names.OUT_OF_FOLD_FILE)
    return read_arrays(content, names.OUT_OF_FOLD_FILE, run.run_id)
