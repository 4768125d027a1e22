"""Train the folds of one trial in several processes.

One process, the leader, evaluates the trial; the other workers train some of its folds,
epoch by epoch, each on request of the leader. The result is the same as with all folds
in one process: the training of a fold does not depend on the others, and the leader
computes all scores.
"""

import contextlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ktune.errors import OutOfMemory, TrialFailed, WorkerDied
from ktune.protocols import FoldEpoch, Training, TrainingTask
from ktune.trial import Failure
from ktune.utils.memory import is_out_of_memory

OUT_OF_MEMORY = "there was not enough memory to train it"


class Connection(Protocol):
    """A connection to another process, such as a `multiprocessing.Connection`."""

    def send(self, message: Any) -> None:
        """Send a message; raise `OSError` if the other process is gone."""

    def recv(self) -> Any:
        """Wait for a message; raise `EOFError` if the other process is gone."""


@dataclass(frozen=True, eq=False)
class _WorkerEpoch:
    """An epoch of the folds of a worker."""

    epochs: Sequence[FoldEpoch]
    wants_to_stop: bool


class WorkerFailed(TrialFailed):
    """Training failed in a worker."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def part_of(task: TrainingTask, part: int, n_parts: int) -> TrainingTask:
    """Return a task of some of the folds, the first ones for part 0."""
    indices = np.array_split(np.arange(len(task.folds)), n_parts)[part]
    return replace(
        task,
        folds=[task.folds[index] for index in indices],
        seeds=[task.seeds[index] for index in indices],
    )


class SharedTraining:
    """The training of a leader together with those of its workers.

    Args:
        own: Training of the first folds in the leader.
        workers: Connections to the workers of the other folds, in order of folds.
    """

    def __init__(self, own: Training, workers: Sequence[Connection]) -> None:
        self._own = own
        self._workers = workers
        self._do_workers_stop = False
        self.n_parameters = own.n_parameters
        self.summary = own.summary

    @property
    def wants_to_stop(self) -> bool:
        """Whether a callback of any fold has set ``model.stop_training``."""
        return self._own.wants_to_stop or self._do_workers_stop

    def run_epoch(self) -> list[FoldEpoch]:
        """Train every fold for one more epoch and score it.

        Raises:
            TrialFailed: The loss or the outputs are no longer finite, or a worker has
                failed or died.
        """
        try:
            for worker in self._workers:
                worker.send(True)
            outcomes = list(self._own.run_epoch())
            messages = [worker.recv() for worker in self._workers]
        except (EOFError, OSError) as error:
            raise WorkerDied("a worker that trained some of its folds died") from error
        for message in messages:
            if isinstance(message, Failure):
                raise WorkerFailed(message)
            outcomes += message.epochs
            self._do_workers_stop |= message.wants_to_stop
        return outcomes

    def model(self, fold_index: int) -> Any:
        """Return the Keras model of one of the leader's own folds."""
        return self._own.model(fold_index)

    def close(self) -> None:
        """Close the own training, and release the workers."""
        self._own.close()
        release_workers(self._workers)


def train_for_leader(start: Callable[[], Training], leader: Connection) -> None:
    """Train some folds, epoch by epoch, until the leader releases this worker.

    Args:
        start: Starts the training of the folds.
        leader: Connection to the leader.
    """
    training: Training | None = None
    try:
        training = start()
        while leader.recv():
            epochs = training.run_epoch()
            leader.send(_WorkerEpoch(epochs, training.wants_to_stop))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except (Exception, SystemExit) as error:
        with contextlib.suppress(OSError):
            leader.send(describe(error))
    finally:
        if training is not None:
            training.close()


def release_workers(workers: Sequence[Connection]) -> None:
    """Release workers from the trial; idempotent."""
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.send(False)


def describe(error: BaseException) -> Failure:
    """Return why a trial failed."""
    if isinstance(error, WorkerFailed):
        return error.failure
    kind, message = type(error).__name__, str(error)
    if isinstance(error, TrialFailed):
        # A failure raised by ktune needs no traceback; a user's exception does.
        return Failure(kind, message, error.details)
    if is_out_of_memory(error):
        # One reason for all backends, whose messages differ and contain sizes.
        kind, message = OutOfMemory.__name__, OUT_OF_MEMORY
    return Failure(kind, message, "".join(traceback.format_exception(error)))
