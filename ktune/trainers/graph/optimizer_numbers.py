"""Numbers of an optimizer that are inputs of a compiled program.

Trials that differ only in these numbers share the program. A setting that is off (0 or
None) changes the computation itself, so it is part of the structure.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Clip: TypeAlias = Callable[[Sequence[Any], Any], Sequence[Any]]
"""Clips the gradients of one fold by a limit."""

OF_CLASS: Mapping[str, tuple[str, ...]] = {
    "Adam": ("beta_1", "beta_2", "epsilon"),
    "AdamW": ("beta_1", "beta_2", "epsilon"),
    "RMSprop": ("rho", "momentum", "epsilon"),
    "SGD": ("momentum",),
}
"""Optimizers with a fused kernel, and its numbers."""


def has_fused_kernel(config: Mapping[str, Any], class_name: str) -> bool:
    """Whether TensorFlow has one kernel for a whole step of the optimizer.

    Args:
        config: From the optimizer's ``get_config``.
        class_name: Class name of the optimizer.
    """
    numbers = ("learning_rate", *OF_CLASS.get(class_name, ()))
    return (
        class_name in OF_CLASS
        # Neither a schedule nor a function that returns the present beta_1.
        and all(isinstance(config[name], int | float) for name in numbers)
        and not config.get("amsgrad")
        and not config.get("centered")
    )


def input_names(config: Mapping[str, Any], class_name: str) -> tuple[str, ...]:
    """Return the settings that are inputs of a program, except the learning rate."""
    names = (*OF_CLASS.get(class_name, ()), "weight_decay", *_CLIPS)
    return tuple(
        name
        for name in names
        if isinstance(config.get(name), int | float) and config[name] > 0
    )


def settings_of(
    learning_rates: Sequence[float], config: Mapping[str, Any], names: Sequence[str]
) -> np.ndarray:
    """Return learning rate and inputs fold by fold, shape (n_folds, 1 + n), float32.

    Args:
        learning_rates: One per fold.
        config: From the optimizer's ``get_config``.
        names: From `input_names`.
    """
    shared = [float(config[name]) for name in names]
    return np.array([[rate, *shared] for rate in learning_rates], np.float32)


def clip_of(config: Mapping[str, Any]) -> tuple[str, Clip] | None:
    """Return the setting that clips gradients and its function; None without a limit.

    With several settings, the first counts, as in Keras.
    """
    return next(((name, clip) for name, clip in _CLIPS.items() if config[name]), None)


def _clip_each_by_norm(gradients: Sequence[Any], limit: Any) -> Sequence[Any]:
    norms = [tf.norm(gradient) for gradient in gradients]
    return [
        gradient * limit / tf.maximum(norm, limit)
        for gradient, norm in zip(gradients, norms, strict=True)
    ]


def _clip_by_global_norm(gradients: Sequence[Any], limit: Any) -> Sequence[Any]:
    norm = tf.linalg.global_norm(gradients)
    scale = limit * tf.minimum(1.0 / norm, 1.0 / limit)
    # NaN if the norm is not finite, as in Keras.
    return [gradient * (scale + (norm - norm)) for gradient in gradients]


def _clip_by_value(gradients: Sequence[Any], limit: Any) -> Sequence[Any]:
    return [tf.clip_by_value(gradient, -limit, limit) for gradient in gradients]


_CLIPS: Mapping[str, Clip] = {
    "clipnorm": _clip_each_by_norm,
    "global_clipnorm": _clip_by_global_norm,
    "clipvalue": _clip_by_value,
}
"""In the order in which Keras checks them (base_optimizer.py, 3.15)."""
