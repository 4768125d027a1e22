"""The scale of the outputs of a classifier: probabilities, logits or scores."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ktune.data.compiled_loss import HINGE_LOSSES, compiled_loss, keras_loss
from ktune.data.dataset import Task
from ktune.data.loss_probe import LossScale, TargetForm, probe_scale
from ktune.data.target_form import target_form

_MARK = "_ktune_output_scale"


class OutputScale(StrEnum):
    """The scale of the outputs of a classifier."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    """Any number; sigmoid or softmax converts it to a probability."""
    SCORES = "scores"
    """From -1 to 1, as of tanh with a hinge loss."""
    UNKNOWN = "unknown"


def set_output_scale(model: Any, scale: str) -> None:
    """Mark a model with the output scale of the experiment."""
    setattr(model, _MARK, OutputScale(scale))


def output_scale(model: Any, task: Task, n_outputs: int) -> OutputScale:
    """Return the scale of the outputs of a compiled model.

    The setting of the experiment has precedence over the activation of the last layer,
    and that over the loss. A loss of Keras has ``from_logits``; a user's own loss is
    evaluated at a few values.

    Args:
        model: A compiled Keras model with one output.
        task: Task of the model; for a regression or a custom task the scale has no
            effect.
        n_outputs: Number of classes or labels.
    """
    if task in (Task.REGRESSION, Task.CUSTOM):
        return OutputScale.PROBABILITIES
    scale = getattr(model, _MARK, None)
    if scale is None:
        scale = _infer_scale(model, task, n_outputs)
        setattr(model, _MARK, scale)
    return OutputScale(scale)


def scale_of_spec(spec: Mapping[str, Any]) -> OutputScale:
    """Return the scale recorded with a registered model.

    Models of earlier versions record only whether the outputs are logits.
    """
    if "output_scale" in spec:
        return OutputScale(spec["output_scale"])
    return OutputScale.LOGITS if spec["returns_logits"] else OutputScale.PROBABILITIES


def last_activation(model: Any) -> str | None:
    """Return the name of the last activation of a model; None: unknown."""
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
        layer = getattr(history, "operation", None)
        if layer is not None and layer is not model:
            return layer
    is_sequential = type(model).__name__ == "Sequential"
    layers = getattr(model, "layers", None)
    return layers[-1] if is_sequential and layers else None


def _infer_scale(model: Any, task: Task, n_outputs: int) -> OutputScale:
    activation = last_activation(model)
    if activation in ("sigmoid", "softmax"):
        return OutputScale.PROBABILITIES
    form = target_form(model, task, n_outputs) if task.is_classification else None
    scale = _scale_of_loss(model, n_outputs, form)
    is_bounded = activation == "tanh" and form is None
    if scale is None:
        return OutputScale.SCORES if is_bounded else OutputScale.UNKNOWN
    if scale is LossScale.MARGINS:  # unbounded margins are ranked like logits
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
