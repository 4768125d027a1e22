"""The specs with which a program is traced, so that it serves other sizes too."""

from typing import Any

import tensorflow as tf


def specs_of(arguments: tuple[Any, ...], *, is_open: bool) -> list[Any]:
    """Return the specs of arguments with dynamic numbers of rows and steps.

    Args:
        arguments: Arguments of a program.
        is_open: Whether the shapes of weights are dynamic as well.
    """

    def exact(tensor: Any) -> Any:
        return tf.TensorSpec(tensor.shape, tensor.dtype)

    def of_folds(tensor: Any) -> Any:
        is_weight = is_open and len(tensor.shape) > 1
        open_axis = [None] if is_weight else tensor.shape[1:2]
        shape = [*tensor.shape[:1], *open_axis, *tensor.shape[2:]]
        return tf.TensorSpec(shape, tensor.dtype)

    def of_one_fold(tensor: Any) -> Any:
        is_weight = is_open and tensor.dtype == tf.float32
        shape = [None] * len(tensor.shape) if is_weight else tensor.shape
        return tf.TensorSpec(shape, tensor.dtype)

    def open_ended(tensor: Any) -> Any:
        return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)

    (weights, optimizer, rest), settings, inputs, *others = arguments
    return [
        (
            of_folds(weights),
            tf.nest.map_structure(of_folds, optimizer),
            tf.nest.map_structure(of_one_fold, rest),
        ),
        exact(settings),
        tf.nest.map_structure(exact, inputs),
        *(tf.nest.map_structure(open_ended, part) for part in others),
    ]
