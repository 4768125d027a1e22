"""On which scale the outputs of a classifier are: probabilities, logits or scores."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ktune.data.compiled_loss import HINGE_LOSSES, compiled_loss, keras_loss
from ktune.data.dataset import Task
from ktune.data.loss_probe import LossScale, TargetForm, probe_scale
from ktune.data.target_form import target_form

_MARK = "_ktune_output_scale"


class OutputScale(StrEnum):
    """What the outputs of a classifier are."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    """Any number; sigmoid or softmax makes a probability of it."""
    SCORES = "scores"
    """From -1 to 1, as tanh gives them to a hinge loss."""
    UNKNOWN = "unknown"


def set_output_scale(model: Any, scale: str) -> None:
    """Note on a model what its outputs are, because the experiment says so."""
    setattr(model, _MARK, OutputScale(scale))


def output_scale(model: Any, task: Task, n_outputs: int) -> OutputScale:
    """Return the scale of a compiled model's outputs.

    The experiment's word comes first, then the activation of the last layer, then the
    loss. A loss of Keras says by ``from_logits`` what it takes; one of the user's own
    is tried on a few values.

    Args:
        model: A compiled Keras model with one output.
        task: What is predicted; the outputs of a regression are in units.
        n_outputs: Number of classes or labels.
    """
    if task is Task.REGRESSION:
        return OutputScale.PROBABILITIES
    found = getattr(model, _MARK, None)
    if found is None:
        found = _found_out(model, task, n_outputs)
        setattr(model, _MARK, found)
    return OutputScale(found)


def scale_of_spec(spec: Mapping[str, Any]) -> OutputScale:
    """Return the scale that was recorded with a registered model.

    Models of earlier versions record only whether outputs are logits.
    """
    if "output_scale" in spec:
        return OutputScale(spec["output_scale"])
    return OutputScale.LOGITS if spec["returns_logits"] else OutputScale.PROBABILITIES


def last_activation(model: Any) -> str | None:
    """Return the name of the activation a model ends in; None: it does not tell."""
    layer = _last_layer(model)
    while layer is not None and hasattr(layer, "layers"):
        layer = _last_layer(layer)
    if type(layer).__name__ == "Softmax":
        return "softmax"
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    return str(getattr(activation, "__name__", activation))


def _last_layer(model: Any) -> Any:
    outputs = getattr(model, "outputs", None)
    if outputs and len(outputs) == 1:
        history = getattr(outputs[0], "_keras_history", None)
        found = getattr(history, "operation", None)
        if found is not None and found is not model:
            return found
    is_sequential = type(model).__name__ == "Sequential"
    layers = getattr(model, "layers", None)
    return layers[-1] if is_sequential and layers else None


def _found_out(model: Any, task: Task, n_outputs: int) -> OutputScale:
    activation = last_activation(model)
    if activation in ("sigmoid", "softmax"):
        return OutputScale.PROBABILITIES
    form = target_form(model, task, n_outputs) if task.is_classification else None
    scale = _scale_of_loss(model, n_outputs, form)
    is_bounded = activation == "tanh" and form is None
    if scale is None:
        return OutputScale.SCORES if is_bounded else OutputScale.UNKNOWN
    if scale is LossScale.MARGINS:  # without bounds they are ranked like logits
        return OutputScale.SCORES if is_bounded else OutputScale.LOGITS
    return OutputScale(scale.value)


def _scale_of_loss(
    model: Any, n_outputs: int, form: TargetForm | None
) -> LossScale | None:
    loss, name = compiled_loss(model), keras_loss(model)
    if getattr(loss, "from_logits", False):
        return LossScale.LOGITS
    if name in HINGE_LOSSES:
        return LossScale.MARGINS
    if name is not None or isinstance(loss, str):
        return LossScale.PROBABILITIES
    return probe_scale(loss, n_outputs, form)
