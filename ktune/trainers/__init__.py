"""Trainers, which train the folds of a trial; they differ in speed only."""

import functools
import importlib
import logging
from typing import Any

from ktune.errors import ExperimentError
from ktune.protocols import Trainer, TrainingTask
from ktune.tracking.autologging import switch_off_autologging
from ktune.utils.text import did_you_mean

TRAINERS = {
    "graph": "ktune.trainers.graph.trainer:GraphTrainer",
    "keras_fit": "ktune.trainers.keras_fit:KerasFitTrainer",
}
"""Module and class by name; imported when chosen, since each imports Keras."""

AUTO = "auto"

_log = logging.getLogger(__name__)


def choose_trainer(name: str, task: TrainingTask) -> Trainer:
    """Return a trainer by name; ``auto`` is the fastest one that supports the task.

    Args:
        name: ``auto`` or a key of ``TRAINERS``.
        task: The task. With ``auto`` the training is prepared here, so start the
            trainer with the same task, and count this call into the trial's time.

    Raises:
        ExperimentError: The name is unknown.
    """
    switch_off_autologging()  # a worker runs the experiment file once more
    if name == AUTO:
        return _fastest(task)
    if name in TRAINERS:
        return _load(name)
    known = [AUTO, *TRAINERS]
    raise ExperimentError(
        f"`trainer` {name!r} is unknown. Known: {', '.join(known)}."
        + did_you_mean(name, known)
    )


def _fastest(task: TrainingTask) -> Trainer:
    reason = _backend_reason()
    if reason is None:
        graph = _load("graph")
        reason = graph.why_not(task)
        if reason is None:
            return graph
    _log_once(reason)
    return _load("keras_fit")


def _backend_reason() -> str | None:
    """Check the backend before loading the graph trainer, which needs TensorFlow."""
    import keras

    backend = keras.backend.backend()
    return None if backend == "tensorflow" else f"the Keras backend is {backend}"


@functools.cache
def _log_once(reason: str) -> None:
    _log.info("training with Keras's own fit, not in one graph: %s", reason)


def _load(name: str) -> Any:
    module, _, attribute = TRAINERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)()
