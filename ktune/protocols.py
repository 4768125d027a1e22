"""The doors of ktune: what can be exchanged, and what each side may rely on.

Read this page first. A search is a loop over four of them: a **Searcher** proposes a
trial, an **Executor** has it evaluated somewhere, a **Trainer** trains all its folds in
step, and the searcher is told the result. Values cross these borders, objects do not:
what travels is a frozen dataclass of plain data (`ktune.trial`).

**Ownership.** One process, the driver, asks and tells the searcher and writes to the
MLflow store, from one thread. A worker gets an experiment and a trial, and returns a
result; it never writes anything. Where several drivers share a search (**Peers**), each
owns the trials it has asked for, and they ask in turn.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from ktune.data.dataset import DataDescription, Dataset
from ktune.data.preprocessing import PreparedFold
from ktune.experiment.fit_settings import FitSettings
from ktune.trial import EpochReport, Trial, TrialResult

Report: TypeAlias = Callable[[EpochReport], bool]
"""Called by the evaluation after every epoch; False means: stop this trial."""


@dataclass(frozen=True, eq=False)
class Work:
    """What is done with a trial, wherever that is.

    Attributes:
        evaluate: Called with a trial and what to report to; also with ``workers``,
            lines to the processes that train some of its folds.
        help: Called with a trial, which part of how many, and the line to the process
            that evaluates it.
        most_parts: How many processes can share a trial.
    """

    evaluate: Callable[..., TrialResult]
    help: Callable[..., None] | None = None
    most_parts: int = 1


class DataSource(Protocol):
    """Somewhere data come from."""

    def load(self) -> Dataset:
        """Read the data.

        Raises:
            DataError: They are missing, malformed or cannot be learned from.
        """
        ...


class Searcher(Protocol):
    """Decides which hyperparameter values to try next, and which trials to stop."""

    @property
    def is_exhausted(self) -> bool:
        """Whether there will never be another trial to propose."""
        ...

    def ask(self) -> Trial | None:
        """Propose a trial; None: nothing now (results of running trials are awaited).

        Values are proposed define-by-run: the builder is run on a recording ``hp``,
        and only what it asks for is proposed.
        """
        ...

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Take the objective after a step; answer whether the trial may go on.

        A step is an epoch and the value that of the fold mean; where folds race, a
        step is a fold and the value the mean of the folds so far.
        """
        ...

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Take the result of a trial asked before. Once for every trial."""
        ...


@dataclass(frozen=True)
class DriverCounts:
    """What the other drivers of a search have done, in numbers of trials.

    Attributes:
        finished: Complete or pruned.
        running: Being evaluated now.
        asked: All of them, failed ones too.
    """

    finished: int = 0
    running: int = 0
    asked: int = 0


class OtherDrivers(Protocol):
    """The other drivers of a search, if it has any."""

    def turn(self) -> AbstractContextManager[DriverCounts]:
        """Be the only driver for the block; it gets what the others have done.

        Raises:
            StoreError: They have taken this driver for dead.
        """
        ...

    def check_in(self) -> None:
        """Make sure, before a trial is recorded, that nobody has taken it over.

        Raises:
            StoreError: The others have taken this driver for dead.
        """
        ...


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """What a trainer gets: one configuration and the folds to train it on.

    Attributes:
        build: Returns a new compiled model with fresh weights. Everything random in
            it follows `keras.utils.set_random_seed`, called just before.
        folds: The prepared folds. A refit is one fold without validation rows.
        settings: Batch size, number of epochs, callbacks.
        seeds: One a fold; weights, batch order, dropout and augmentation of a fold
            depend on its seed alone.
        data: Task and shape of the data.
        fit: ``fit`` of a HyperModel that overrides it; None: Keras's own. See
            `ktune.spaces.hypermodel`.
    """

    build: Callable[[], Any]
    folds: Sequence[PreparedFold]
    settings: FitSettings
    seeds: Sequence[int]
    data: DataDescription
    fit: Callable[..., Any] | None = None


@dataclass(frozen=True, eq=False)
class FoldEpoch:
    """What one fold looks like after an epoch.

    Attributes:
        train_loss: Mean loss over ``fold.train_sample``, in inference mode, with
            regularisation, so that it compares with ``validation_loss``.
        validation_loss: Mean loss over ``fold.validation``, likewise.
        train_predictions: For ``fold.train_sample``, as `compute_metrics` takes them.
        validation_predictions: For ``fold.validation``.
    """

    train_loss: float
    validation_loss: float
    train_predictions: np.ndarray
    validation_predictions: np.ndarray


class Training(Protocol):
    """A trial in training: all folds, advanced together epoch by epoch."""

    @property
    def n_parameters(self) -> int:
        """Trainable and other weights of one model."""
        ...

    @property
    def summary(self) -> str:
        """The model's layers as text."""
        ...

    def run_epoch(self) -> list[FoldEpoch]:
        """Train every fold for one more epoch and score it.

        A refit (folds without validation rows) returns an empty list.

        Raises:
            TrialFailed: The loss or the outputs are no longer finite.
        """
        ...

    @property
    def wants_to_stop(self) -> bool:
        """Whether a callback of the user has set ``model.stop_training``."""
        ...

    def model(self, fold_index: int) -> Any:
        """Return the Keras model of a fold with its present weights."""
        ...

    def close(self) -> None:
        """Fire the last callbacks and give back memory; safe to call twice."""
        ...


class Trainer(Protocol):
    """A way to train the folds of a trial."""

    name: str

    def start(self, task: TrainingTask) -> Training:
        """Build the models and get ready for the first epoch."""
        ...


class Executor(Protocol):
    """Has trials evaluated: here, in other processes, or on other machines."""

    @property
    def n_workers(self) -> int:
        """How many trials can be evaluated at the same time."""
        ...

    def submit(self, trial: Trial) -> None:
        """Take a trial for evaluation. Never more than ``n_workers`` at a time."""
        ...

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Return the next finished trial; meanwhile pass on what trials report."""
        ...

    def close(self) -> None:
        """Stop all workers; running trials are dropped."""
        ...


@dataclass(frozen=True, eq=False)
class ExportJob:
    """What an exporter gets.

    Attributes:
        model: The Keras model with the preprocessing inside that can be, built, for
            float rows. Its inputs are named.
        unroll: Returns the same model with recurrent layers unrolled over time.
        name: Stem of the files to write.
        metadata: Model, class names and so on, see `ktune.models.export.metadata`.
        example: Rows the model is made for, an array an input; for quantisation.
    """

    model: Any
    unroll: Callable[[], Any]
    name: str
    metadata: Mapping[str, Any]
    example: Mapping[str, np.ndarray]


class Exporter(Protocol):
    """Writes a model in one format, and runs what it has written.

    ``replay`` and ``read_metadata`` are called in a fresh process that has not loaded
    Keras: they use the format's own runtime alone.
    """

    name: str
    """The word after ``--to``."""

    tolerance: float | None
    """Largest difference from the registered model; None: lossy, its score counts."""

    packages: Sequence[str]
    """Distributions it needs beside those that ktune always has."""

    runtime: Sequence[str]
    """Modules of those that must import for it to work."""

    def write(self, job: ExportJob, folder: Path) -> Path:
        """Write the model and its metadata below a folder; return the file or folder.

        Raises:
            ExportError: The format cannot hold this model.
        """
        ...

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the outputs of the written model for rows, an array an input."""
        ...

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Return the metadata as they stand in what was written."""
        ...
