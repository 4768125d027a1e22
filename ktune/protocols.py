"""The interfaces of ktune: the parts that can be exchanged, and their contracts.

Read this module first. A search is a loop over three of them. A **Searcher** proposes
a trial (`ask`). An **Executor** evaluates it in a worker, where a **Trainer** trains
all folds together, epoch by epoch. The searcher receives the result (`tell`). Only
frozen dataclasses of plain data (`ktune.trial`) pass between them.

**Ownership.** One process, the driver, calls ask and tell and writes to the MLflow
store, from one thread. A worker receives an experiment and a trial and returns a
result; it never writes to the store. When several drivers share a search
(**OtherDrivers**), each owns the trials it has asked for, and a lock serialises `ask`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from ktune.data.dataset import DataDescription, Dataset
from ktune.data.preprocessing import PreparedFold
from ktune.experiment.fit_settings import FitSettings
from ktune.trial import EpochReport, Trial, TrialResult

Report: TypeAlias = Callable[[EpochReport], bool]
"""Callback of the evaluation after every epoch; it returns False to stop the trial."""


@dataclass(frozen=True, eq=False)
class Work:
    """The functions by which an executor evaluates trials.

    Attributes:
        evaluate: Called with a trial and a `Report`; for a shared trial also with
            ``workers``, the connections to the processes that train some of its folds.
        help: Called with a trial, the index and the number of its parts, and the
            connection to the process that evaluates it.
        most_parts: Maximum number of processes that can share a trial.
        declare: Requests all hyperparameters of a trial from an ``hp``.
    """

    evaluate: Callable[..., TrialResult]
    help: Callable[..., None] | None = None
    most_parts: int = 1
    declare: Callable[[Any], None] | None = None


class DataSource(Protocol):
    """A source of a data set."""

    def load(self) -> Dataset:
        """Read the data.

        Raises:
            DataError: The data are missing, malformed or unusable for training.
        """
        ...


class Searcher(Protocol):
    """A search algorithm: proposes hyperparameter values and prunes trials."""

    @property
    def is_exhausted(self) -> bool:
        """Whether the searcher will never propose another trial."""
        ...

    def ask(self) -> Trial | None:
        """Propose a trial; return None to wait for the results of running trials.

        Values are proposed define-by-run: the builder runs on a recording ``hp``, and
        only the parameters that it requests get a value.
        """
        ...

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Receive an intermediate value; return whether the trial may continue.

        Args:
            trial: The running trial.
            step: The epoch; with fold racing, the fold.
            value: Mean of the objective over the folds; with fold racing, over the
                folds so far.
        """
        ...

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Receive the result of a trial from `ask`; called once for every trial."""
        ...


@dataclass(frozen=True)
class DriverCounts:
    """Numbers of trials of the other drivers of a search.

    Attributes:
        finished: Complete or pruned trials.
        running: Trials being evaluated now.
        asked: All trials, including failed ones.
    """

    finished: int = 0
    running: int = 0
    asked: int = 0


class OtherDrivers(Protocol):
    """The other drivers of a search, if it has any."""

    def lock(self) -> AbstractContextManager[DriverCounts]:
        """Hold the lock of the search for a block; yield the counts of other drivers.

        Raises:
            StoreError: The others consider this driver lost.
        """
        ...

    def check_in(self) -> None:
        """Check, before a trial is recorded, that this driver still owns it.

        Raises:
            StoreError: The others consider this driver lost.
        """
        ...


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """The input of a trainer: one configuration and the folds to train it on.

    Attributes:
        build: Returns a new compiled model with fresh weights. All its random numbers
            depend on `keras.utils.set_random_seed`, which is called just before.
        folds: The prepared folds. A refit is one fold without validation rows.
        settings: Batch size, number of epochs, callbacks.
        seeds: One for each fold; weights, batch order, dropout and augmentation of a
            fold depend on its seed alone.
        data: Task and shape of the data.
        model_metrics: Metrics the model computes itself that are objectives, without
            its loss.
        label: Name of the trial, for the files of callbacks.
        fit: ``fit`` of a HyperModel that overrides it; None: Keras's own. See
            `ktune.spaces.hypermodel`.
    """

    build: Callable[[], Any]
    folds: Sequence[PreparedFold]
    settings: FitSettings
    seeds: Sequence[int]
    data: DataDescription
    fit: Callable[..., Any] | None = None
    model_metrics: Sequence[str] = ()
    label: str = ""

    def folder_of(self, fold: PreparedFold) -> str:
        """Folder of a fold for the files of its callbacks; "" without a label."""
        part = f"fold-{fold.index}" if len(fold.validation) else "refit"
        return f"{self.label}/{part}" if self.label else ""


@dataclass(frozen=True, eq=False)
class FoldEpoch:
    """Losses and predictions of one fold after an epoch.

    Of a custom task, the metrics are all that the model computes, and predictions are
    its outputs for `ktune.data.custom_targets.kept_rows`; there are none for training.

    Attributes:
        train_loss: Mean loss over ``fold.train_sample``, in inference mode, with
            regularisation, so that it is comparable with ``validation_loss``.
        validation_loss: Mean loss over ``fold.validation``, likewise.
        train_predictions: For ``fold.train_sample``, in the form of `compute_metrics`.
        validation_predictions: For ``fold.validation``.
        train_metrics: The `TrainingTask.model_metrics` over ``fold.train_sample``.
        validation_metrics: The same over ``fold.validation``.
    """

    train_loss: float
    validation_loss: float
    train_predictions: Any
    validation_predictions: Any
    train_metrics: Mapping[str, float] = field(default_factory=dict)
    validation_metrics: Mapping[str, float] = field(default_factory=dict)


class Training(Protocol):
    """A trial in training: all folds, advanced together epoch by epoch."""

    @property
    def n_parameters(self) -> int:
        """Number of trainable and other weights of one model."""
        ...

    @property
    def summary(self) -> str:
        """The model's layers as text."""
        ...

    def run_epoch(self) -> list[FoldEpoch]:
        """Train every fold for one more epoch and predict its rows.

        A refit (folds without validation rows) returns an empty list.

        Raises:
            TrialFailed: The loss or the outputs are no longer finite.
        """
        ...

    @property
    def wants_to_stop(self) -> bool:
        """Whether a user's callback has set ``model.stop_training``."""
        ...

    def model(self, fold_index: int) -> Any:
        """Return the Keras model of a fold with its current weights.

        With ``average_weights`` they are the mean over the last third of its epochs.
        """
        ...

    def close(self) -> None:
        """Run ``on_train_end`` callbacks and release memory; safe to call twice."""
        ...


class Trainer(Protocol):
    """A way to train the folds of a trial."""

    name: str

    def start(self, task: TrainingTask) -> Training:
        """Build the models and prepare the first epoch."""
        ...


class Executor(Protocol):
    """A way to evaluate trials: in this process, in others, or on other machines.

    An executor with workers has a method ``declare(hp)`` that runs `Work.declare` in
    one of them, so that the builder never runs in the driver. Each hyperparameter that
    the builder requests gets its value from ``hp.propose``.
    """

    @property
    def n_workers(self) -> int:
        """Maximum number of trials that are evaluated at the same time."""
        ...

    def submit(self, trial: Trial) -> None:
        """Start the evaluation of a trial; at most ``n_workers`` run at a time."""
        ...

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Wait for the next finished trial; meanwhile pass on intermediate values."""
        ...

    def close(self) -> None:
        """Stop all workers; running trials are dropped."""
        ...


@dataclass(frozen=True, eq=False)
class ExportJob:
    """The input of an exporter.

    Attributes:
        model: The built Keras model with embedded preprocessing where possible, for
            float rows. Its inputs are named.
        unroll: Returns the same model with recurrent layers unrolled over time.
        name: Stem of the files to write.
        metadata: Model, class names and so on, see `ktune.models.export.metadata`.
        example: Input rows, one array for each input; for quantisation.
    """

    model: Any
    unroll: Callable[[], Any]
    name: str
    metadata: Mapping[str, Any]
    example: Mapping[str, np.ndarray]


class Exporter(Protocol):
    """An export format: writes a model, and runs the written model.

    ``replay`` and ``read_metadata`` are called in a fresh process that has not loaded
    Keras: they use only the runtime of the format.
    """

    name: str
    """Name of the format, as in ``--to NAME``."""

    tolerance: float | None
    """Largest difference from the registered model; None: the format is lossy, and
    the scores are compared."""

    packages: Sequence[str]
    """Distributions that the format needs beyond the dependencies of ktune."""

    runtime: Sequence[str]
    """Modules of these distributions that must be importable."""

    def write(self, job: ExportJob, folder: Path) -> Path:
        """Write the model and its metadata into a folder; return its path.

        Raises:
            ExportError: The format cannot hold this model.
        """
        ...

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> Any:
        """Return the outputs of the written model for rows, one array an input.

        An array; of a model with several outputs, arrays by name.
        """
        ...

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Return the metadata stored in the written model."""
        ...
