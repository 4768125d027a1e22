"""Ways to train the folds of a trial; all give the same answer, some sooner."""

import functools
import importlib
import logging
from typing import Any

from ktune.errors import ExperimentError
from ktune.protocols import Trainer, TrainingTask
from ktune.utils.text import did_you_mean

TRAINERS = {
    "graph": "ktune.trainers.graph.trainer:GraphTrainer",
    "keras_fit": "ktune.trainers.keras_fit:KerasFitTrainer",
}
"""Name to where the class is; imported when chosen, since each brings Keras."""

AUTO = "auto"

_log = logging.getLogger(__name__)


def choose_trainer(name: str, task: TrainingTask) -> Trainer:
    """Return the trainer of that name; ``auto`` is the fastest that can do the task.

    Args:
        name: ``auto`` or a key of ``TRAINERS``.
        task: What is to be trained. With ``auto`` the training is prepared here, so
            start it with this very task, and count this call into the trial's time.

    Raises:
        ExperimentError: There is no such trainer.
    """
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
    _tell_once(reason)
    return _load("keras_fit")


def _backend_reason() -> str | None:
    """Ask before the graph trainer is loaded: without TensorFlow it cannot be."""
    import keras

    backend = keras.backend.backend()
    return None if backend == "tensorflow" else f"the Keras backend is {backend}"


@functools.cache
def _tell_once(reason: str) -> None:
    _log.info("training with Keras's own fit, not in one graph: %s", reason)


def _load(name: str) -> Any:
    module, _, attribute = TRAINERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)()
