"""Try a trial once more with half its batch size, where memory did not suffice."""

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
    """One attempt at a trial; as a context manager it notes a lack of memory.

    Attributes:
        trial: The trial to train in this attempt.
        next_trial: The trial to train after this attempt; None: the attempt is the
            last one.
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
    """Yield the attempts at a trial: one, and a second if memory did not suffice.

    Example::

        for attempt in attempts(builder, trial):
            with attempt as trial:
                result = train(trial)

    Args:
        builder: Of the experiment, which says whether there is a second attempt.
        trial: As proposed.
    """
    first = Attempt(trial, _with_half_batch(builder, trial))
    yield first
    if first.ran_out_of_memory and first.next_trial is not None:
        gc.collect()  # the error held the first attempt's memory until now
        yield Attempt(first.next_trial)


def _with_half_batch(builder: ModelBuilder, trial: Trial) -> Trial | None:
    if not builder.experiment.retry_half_batch or trial.batch_size:
        return None
    asked = builder.settings(trial.values).batch_size
    return replace(trial, batch_size=asked // 2) if asked > 1 else None
