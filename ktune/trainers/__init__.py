"""Ways to train the folds of a trial; all give the same answer, some sooner."""

import importlib

from ktune.errors import ExperimentError
from ktune.protocols import Trainer, TrainingTask
from ktune.spelling import did_you_mean

TRAINERS = {
    "keras_fit": "ktune.trainers.keras_fit:KerasFitTrainer",
}
"""Name to where the class is; imported when chosen, since each brings Keras."""

AUTO = "auto"


def choose_trainer(name: str, task: TrainingTask) -> Trainer:
    """Return the trainer of that name; ``auto`` is the fastest that can do the task.

    Raises:
        ExperimentError: There is no such trainer.
    """
    if name == AUTO:
        return _load("keras_fit")
    if name in TRAINERS:
        return _load(name)
    known = [AUTO, *TRAINERS]
    raise ExperimentError(
        f"`trainer` {name!r} is unknown. Known: {', '.join(known)}."
        + did_you_mean(name, known)
    )


def _load(name: str) -> Trainer:
    module, _, attribute = TRAINERS[name].partition(":")
    trainer: Trainer = getattr(importlib.import_module(module), attribute)()
    return trainer
