"""Notes of the pre-flight on the scale of a classifier's outputs."""

from typing import Any

import numpy as np

from ktune.data.compiled_loss import HINGE_LOSSES, keras_loss, loss_name
from ktune.data.dataset import DataDescription, Task
from ktune.data.output_scale import OutputScale, output_scale
from ktune.data.targets import SCALE_IS_UNKNOWN, are_probabilities
from ktune.errors import ExperimentError


def notes_on_outputs(
    model: Any, outputs: np.ndarray, data: DataDescription
) -> tuple[str, ...]:
    """Return notes on the conversion of outputs to probabilities.

    Args:
        model: The compiled model with default values.
        outputs: Outputs for some real rows, shape (n, k).
        data: Task and number of classes.

    Raises:
        ExperimentError: The scale of the outputs is unknown, and they are not
            probabilities.
    """
    if data.task is Task.REGRESSION or not np.isfinite(outputs).all():
        return ()
    scale = output_scale(model, data.task, data.n_outputs)
    is_exclusive = data.task.is_classification and outputs.shape[-1] > 1
    fits = are_probabilities(outputs, is_exclusive)
    name, is_own = loss_name(model), keras_loss(model) is None
    if scale is OutputScale.UNKNOWN and not fits:
        raise ExperimentError(f"`build`: {SCALE_IS_UNKNOWN}")
    if scale is OutputScale.PROBABILITIES and not fits:
        return (_cut(name, outputs, is_exclusive),)
    if keras_loss(model) in HINGE_LOSSES and scale is not OutputScale.PROBABILITIES:
        return (_margins(name, scale),)
    if scale is OutputScale.LOGITS and is_own and name:
        return (
            f"Outputs are read as logits: loss {name!r} takes logits. If they are "
            "probabilities, give the experiment outputs='probabilities'.",
        )
    return ()


def _cut(name: str, outputs: np.ndarray, is_exclusive: bool) -> str:
    activation = "softmax" if is_exclusive else "sigmoid"
    adjusted = "cut to 0 … 1" + (" and divided by their sum" if is_exclusive else "")
    return (
        f"Outputs go from {outputs.min():.3g} to {outputs.max():.3g} and are no "
        f"probabilities, which loss {name!r} takes; for scores they are {adjusted}. "
        f"End the model in activation {activation!r}, give the loss from_logits=True, "
        "or give the experiment outputs='logits'."
    )


def _margins(name: str, scale: OutputScale) -> str:
    how = "(x + 1) / 2" if scale is OutputScale.SCORES else "sigmoid or softmax"
    return (
        f"Loss {name!r} trains signed scores, no probabilities: {how} makes "
        "probabilities of them, so log loss and calibration say little."
    )
