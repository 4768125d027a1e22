"""Where trials are evaluated: one executor a file."""

from collections.abc import Callable

from ktune.errors import ExperimentError
from ktune.experiment import Experiment
from ktune.protocols import Executor, Report
from ktune.trial import Trial, TrialResult


def make_executor(
    experiment: Experiment, evaluate: Callable[[Trial, Report], TrialResult]
) -> Executor:
    """Return the executor an experiment asks for, ready for trials.

    Args:
        experiment: Says which, and with how many workers.
        evaluate: Evaluates a trial; other processes get a copy of it.

    Raises:
        ExperimentError: This installation has no such executor, or the experiment
            cannot be sent to it.
    """
    name = experiment.chosen_executor
    if name == "serial":
        from ktune.executors.serial import SerialExecutor

        return SerialExecutor(evaluate)
    if name == "processes":
        from ktune.executors.processes import ProcessesExecutor

        return ProcessesExecutor(
            evaluate,
            experiment.jobs,
            is_deterministic=experiment.deterministic,
            trial_timeout=experiment.trial_timeout_seconds,
        )
    raise ExperimentError(
        f"`executor` {name!r} is not available in this version. Use 'processes'."
    )
