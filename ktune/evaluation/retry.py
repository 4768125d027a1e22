"""Retry a trial that ran out of memory with half its batch size."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType

from ktune.errors import OutOfMemory
from ktune.evaluation.model_builder import ModelBuilder
from ktune.evaluation.shared_training import describe
from ktune.trial import Trial


@dataclass
class Attempt:
    """One attempt at a trial; as a context manager it records a lack of memory.

    Attributes:
        trial: The trial to train in this attempt.
        next_trial: The trial of the next attempt; None for the last attempt.
    """

    trial: Trial
    next_trial: Trial | None = None
    ran_out_of_memory: bool = False

    def __enter__(self) -> Trial:
        return self.trial

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None or self.next_trial is None:
            return False
        self.ran_out_of_memory = describe(error).kind == OutOfMemory.__name__
        return self.ran_out_of_memory


def attempts(builder: ModelBuilder, trial: Trial) -> Iterator[Attempt]:
    """Yield the attempts at a trial: one, and a second if it ran out of memory.

    Example::

        for attempt in attempts(builder, trial):
            with attempt as trial:
                result = train(trial)

    Args:
        builder: Builder of the experiment, which allows a second attempt or not.
        trial: The proposed trial.
    """
    first = Attempt(trial, _with_half_batch(builder, trial))
    yield first
    if first.ran_out_of_memory and first.next_trial is not None:
        gc.collect()  # the error held the first attempt's memory until now
        yield Attempt(first.next_trial)


def _with_half_batch(builder: ModelBuilder, trial: Trial) -> Trial | None:
    if not builder.experiment.retry_half_batch or trial.batch_size:
        return None
    batch_size = builder.settings(trial.values).batch_size
    return replace(trial, batch_size=batch_size // 2) if batch_size > 1 else None
