"""The loss of a compiled Keras model, and its properties."""

from collections.abc import Mapping
from typing import Any

REGRESSION_LOSSES = (
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
)
"""Losses of Keras for regression."""

HINGE_LOSSES = ("categorical_hinge", "hinge", "squared_hinge")
"""Losses of Keras that take signed scores."""


def compiled_loss(model: Any) -> Any:
    """Return the loss of a compiled model, also from a list or dict of one loss.

    A list or dict of several losses is returned unchanged.

    Example:
        >>> from types import SimpleNamespace
        >>> compiled_loss(SimpleNamespace(loss={"out": ["mse"]}))
        'mse'
    """
    loss = getattr(model, "loss", None)
    while isinstance(loss, list | tuple | Mapping) and len(loss) == 1:
        loss = next(iter(loss.values() if isinstance(loss, Mapping) else loss))
    return loss


def unwrap_loss_of_sequential(model: Any) -> None:
    """Let a Sequential model compute a loss that was given in a dict of one.

    Keras looks up the name of the output, which a Sequential model does not have.
    """
    compiled: Any = getattr(model, "_compile_loss", None)
    is_in_dict = isinstance(getattr(compiled, "_user_loss", None), Mapping)
    if is_in_dict and not getattr(model, "output_names", None):
        compiled._user_loss = compiled_loss(model)


def loss_name(model: Any) -> str:
    """Return the name of the loss in lower case."""
    loss = compiled_loss(model)
    if isinstance(loss, str):
        return loss.lower()
    named = getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return str(named).lower()


def keras_loss(model: Any) -> str | None:
    """Return the name of a loss of Keras; None for other losses.

    ``"mse"``, ``keras.losses.MeanSquaredError()`` and the function of that name are
    all ``mean_squared_error``.
    """
    import keras

    loss = compiled_loss(model)
    if isinstance(loss, str):
        loss = _named_in_keras(loss)
    is_object = isinstance(loss, keras.losses.Loss)
    if is_object and not _is_from_keras(type(loss)):
        return None
    function = getattr(loss, "fn", loss) if is_object else loss
    return str(function.__name__) if _is_from_keras(function) else None


def is_regression_loss(model: Any) -> bool:
    """Whether a model is compiled with a loss of Keras for numbers."""
    return keras_loss(model) in REGRESSION_LOSSES


def loss_object(loss: Any, targets: Any, outputs: Any) -> Any:
    """Return the loss object that Keras calls in ``fit``."""
    from keras.src.trainers.compile_utils import get_loss

    return get_loss(loss, targets, outputs)


def _named_in_keras(name: str) -> Any:
    import keras

    try:
        return keras.losses.get(name)
    except ValueError:  # Keras resolves "crossentropy" by the targets in fit
        return None


def _is_from_keras(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or ""
    return hasattr(thing, "__name__") and module.startswith("keras.")
