"""Where trials are evaluated: one executor a file."""

import importlib
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ktune.errors import ExperimentError
from ktune.experiment.experiment import Experiment
from ktune.protocols import Executor, Work


def make_executor(experiment: Experiment, work: Work) -> Executor:
    """Return the executor an experiment asks for, ready for trials.

    Args:
        experiment: Says which, and with how many workers.
        work: What is done with a trial; other processes get a copy of it.

    Raises:
        ExperimentError: What the executor needs is not there, or the experiment
            cannot be sent to it.
    """
    name = experiment.chosen_executor
    if name == "serial":
        from ktune.executors.serial import SerialExecutor

        return SerialExecutor(work.evaluate)
    if name == "processes":
        from ktune.executors.processes import ProcessesExecutor

        return ProcessesExecutor(
            work,
            experiment.jobs or 1,
            is_deterministic=experiment.deterministic,
            trial_timeout=experiment.trial_timeout_seconds,
        )
    executor: Executor = _ray_module("ray").RayExecutor(
        work.evaluate,
        experiment.jobs,
        address=experiment.ray_address,
        cpus=experiment.cpus,
        gpus=experiment.gpus,
        trial_timeout=experiment.trial_timeout_seconds,
    )
    return executor


def connected(experiment: Experiment) -> AbstractContextManager[None]:
    """Be connected with what an experiment's executor needs; find out if it is there.

    Raises:
        ExperimentError: It is not installed or not to be reached, or too small.
    """
    if experiment.chosen_executor != "ray":
        return nullcontext()
    connection: AbstractContextManager[None] = _ray_module("ray_cluster").connected(
        experiment.ray_address, cpus=experiment.cpus, gpus=experiment.gpus
    )
    return connection


def _ray_module(name: str) -> Any:
    # Ray prints to stdout that a worker has died, whatever it is asked to log; ktune
    # tells that itself. It reads this when it is imported.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    try:
        return importlib.import_module(f"ktune.executors.{name}")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ExperimentError(
            "executor 'ray' needs the package ray, which is not installed: "
            'pip install "ktune[ray]"'
        ) from error
