"""The one loss a Keras model is compiled with: which it is, and what it says."""

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
"""Losses of Keras that compare numbers with numbers, not classes with probabilities."""

HINGE_LOSSES = ("categorical_hinge", "hinge", "squared_hinge")
"""Losses of Keras that take signed scores."""


def compiled_loss(model: Any) -> Any:
    """Return the loss a model is compiled with, out of a list or dict of one.

    A list or dict of several losses is returned as it is.

    Example:
        >>> from types import SimpleNamespace
        >>> compiled_loss(SimpleNamespace(loss={"out": ["mse"]}))
        'mse'
    """
    loss = getattr(model, "loss", None)
    while isinstance(loss, list | tuple | Mapping) and len(loss) == 1:
        loss = next(iter(loss.values() if isinstance(loss, Mapping) else loss))
    return loss


def loss_name(model: Any) -> str:
    """Return the name of the loss in lower case: Keras's name, or the function's."""
    loss = compiled_loss(model)
    if isinstance(loss, str):
        return loss.lower()
    named = getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return str(named).lower()


def keras_loss(model: Any) -> str | None:
    """Return the name of the loss function if it is one of Keras; None: it is not.

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
    """Return a loss as Keras calls it in ``fit``, whatever form it was given in."""
    from keras.src.trainers.compile_utils import get_loss

    return get_loss(loss, targets, outputs)


def _named_in_keras(name: str) -> Any:
    import keras

    try:
        return keras.losses.get(name)
    except ValueError:  # "crossentropy" is chosen by Keras when it sees the targets
        return None


def _is_from_keras(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or ""
    return hasattr(thing, "__name__") and module.startswith("keras.")
