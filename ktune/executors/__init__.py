"""Where trials are evaluated: one executor a file."""

from collections.abc import Callable

from ktune.errors import ExperimentError
from ktune.protocols import Executor, Report
from ktune.trial import Trial, TrialResult


def make_executor(
    name: str, evaluate: Callable[[Trial, Report], TrialResult]
) -> Executor:
    """Return the executor of that name, ready for trials.

    Raises:
        ExperimentError: This installation has no such executor.
    """
    if name == "serial":
        from ktune.executors.serial import SerialExecutor

        return SerialExecutor(evaluate)
    raise ExperimentError(
        f"`executor` {name!r} is not available in this version. Use 'serial'."
    )
