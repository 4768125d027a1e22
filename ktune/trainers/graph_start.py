"""The weights folds start from: those `build` gives under each fold's seed."""

from typing import Any

import numpy as np

from ktune.protocols import TrainingTask
from ktune.trainers.common import build_model


def fold_starts(task: TrainingTask, first: Any) -> list[tuple[np.ndarray, list[Any]]]:
    """Return each fold's flat weights and the values of its other variables.

    Args:
        task: What to train.
        first: The model of fold 0, already built.
    """
    others = [build_model(task, index) for index in range(1, len(task.folds))]
    return [start_of(model) for model in [first, *others]]


def start_of(model: Any) -> tuple[np.ndarray, list[Any]]:
    """Return a model's flat trainable weights and its other variables' values."""
    weights = [variable.numpy().ravel() for variable in model.trainable_variables]
    rest = [variable.numpy() for variable in model.non_trainable_variables]
    return np.concatenate(weights), rest


def set_weights(model: Any, weights: np.ndarray, rest: list[Any]) -> None:
    """Write what `start_of` reads back into a model."""
    position = 0
    for variable in model.trainable_variables:
        size = int(np.prod(variable.shape))
        variable.assign(weights[position : position + size].reshape(variable.shape))
        position += size
    for variable, value in zip(model.non_trainable_variables, rest, strict=True):
        variable.assign(value)
