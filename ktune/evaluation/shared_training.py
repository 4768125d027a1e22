"""The folds of one trial, trained side by side by several processes.

One of them, the captain, evaluates the trial as if it were alone; the others train some
of the folds for it, epoch by epoch, each when the captain asks for one. The result is
the one that training all folds in one place gives: a fold's training does not depend on
the others, and all that is judged of them, the captain judges.
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
    """A line to another process, such as a `multiprocessing.Connection`."""

    def send(self, message: Any) -> None:
        """Send something; `OSError` if nobody is there any more."""

    def recv(self) -> Any:
        """Wait for something; `EOFError` if nobody is there any more."""


@dataclass(frozen=True, eq=False)
class _Share:
    """What a helper has to say after an epoch."""

    epochs: Sequence[FoldEpoch]
    wants_to_stop: bool


class WorkerFailed(TrialFailed):
    """Training failed in a helper."""

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
    """What a captain trains itself, and what its helpers train for it.

    Args:
        own: The first folds.
        workers: Lines to those who train the others, in the order of folds.
    """

    def __init__(self, own: Training, workers: Sequence[Connection]) -> None:
        self._own = own
        self._helpers = workers
        self._do_helpers_stop = False
        self.n_parameters = own.n_parameters
        self.summary = own.summary

    @property
    def wants_to_stop(self) -> bool:
        """Whether a callback of any fold has set ``model.stop_training``."""
        return self._own.wants_to_stop or self._do_helpers_stop

    def run_epoch(self) -> list[FoldEpoch]:
        """Have every fold trained for one more epoch and scored.

        Raises:
            TrialFailed: The loss or the outputs are no longer finite, or a helper has
                failed or died.
        """
        try:
            for worker in self._helpers:
                worker.send(True)
            outcomes = list(self._own.run_epoch())
            shares = [worker.recv() for worker in self._helpers]
        except (EOFError, OSError) as error:
            raise WorkerDied("a process died that trained some of its folds") from error
        for share in shares:
            if isinstance(share, Failure):
                raise WorkerFailed(share)
            outcomes += share.epochs
            self._do_helpers_stop |= share.wants_to_stop
        return outcomes

    def model(self, fold_index: int) -> Any:
        """Return the Keras model of one of the captain's own folds."""
        return self._own.model(fold_index)

    def close(self) -> None:
        """Let the helpers go."""
        self._own.close()
        release_workers(self._helpers)


def train_for_leader(start: Callable[[], Training], leader: Connection) -> None:
    """Train some folds, epoch by epoch, until the captain has enough or is gone.

    Args:
        start: Starts their training.
        leader: The line to it.
    """
    training: Training | None = None
    try:
        training = start()
        while leader.recv():
            epochs = training.run_epoch()
            leader.send(_Share(epochs, training.wants_to_stop))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except (Exception, SystemExit) as error:
        with contextlib.suppress(OSError):
            leader.send(describe(error))
    finally:
        if training is not None:
            training.close()


def release_workers(workers: Sequence[Connection]) -> None:
    """Tell helpers that they are no longer needed; safe to call twice."""
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.send(False)


def describe(error: BaseException) -> Failure:
    """Return why a trial failed."""
    if isinstance(error, WorkerFailed):
        return error.failure
    kind, message = type(error).__name__, str(error)
    if isinstance(error, TrialFailed):
        # Our own verdict on a trial needs no stack; a user's exception does.
        return Failure(kind, message, error.details)
    if is_out_of_memory(error):
        # One reason for what every backend words otherwise, with sizes in it.
        kind, message = OutOfMemory.__name__, OUT_OF_MEMORY
    return Failure(kind, message, "".join(traceback.format_exception(error)))
