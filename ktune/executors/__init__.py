"""Executors, which evaluate trials; one module per executor."""

import importlib
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ktune.errors import ExperimentError
from ktune.experiment.experiment import Experiment
from ktune.protocols import Executor, Work


def make_executor(experiment: Experiment, work: Work) -> Executor:
    """Return the executor of an experiment, ready for trials.

    Args:
        experiment: Names the executor and the number of workers.
        work: Functions that evaluate a trial; other processes get a copy.

    Raises:
        ExperimentError: A requirement of the executor is missing, or the experiment
            cannot be serialized.
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
        work,
        experiment.jobs,
        address=experiment.ray_address,
        cpus=experiment.cpus,
        gpus=experiment.gpus,
        trial_timeout=experiment.trial_timeout_seconds,
    )
    return executor


def connected(experiment: Experiment) -> AbstractContextManager[None]:
    """Connect to the cluster of an experiment's executor, if it needs one.

    Raises:
        ExperimentError: Ray is not installed, or the cluster unreachable or too small.
    """
    if experiment.chosen_executor != "ray":
        return nullcontext()
    connection: AbstractContextManager[None] = _ray_module("ray_cluster").connected(
        experiment.ray_address, cpus=experiment.cpus, gpus=experiment.gpus
    )
    return connection


def _ray_module(name: str) -> Any:
    # Ray prints deaths of workers to stdout at any log level; ktune reports them
    # itself. Ray reads this variable when it is imported.
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
