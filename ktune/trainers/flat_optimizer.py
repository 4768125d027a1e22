"""A Keras optimizer as a pure function of one flat vector of weights a fold.

An optimizer makes a dozen small operations a weight tensor and step, which is most of
the time of a small model. All weights of all folds in one matrix take the same dozen
operations once. Each is elementwise, so the numbers stay the same, bit for bit.
"""

import types
from collections.abc import Sequence
from typing import Any

import numpy as np

LANES = 16
"""Weights are padded to a multiple of this and handled in blocks of it.

Vector instructions take up to 16 floats at once; what is left at the end of an array is
rounded differently (by 1 ulp in ``rsqrt`` and ``pow``). In whole blocks, a fold's
numbers are the same whether it is trained alone or beside others.
"""


class FlatOptimizer:
    """Keras's own update rule, without variables.

    Args:
        optimizer: A Keras optimizer that is not built yet; it is changed, so it must
            not be used for anything else.
        n_folds: How many rows the weights have.
        n_weights: Numbers a fold, a multiple of ``LANES``.
    """

    def __init__(self, optimizer: Any, *, n_folds: int, n_weights: int) -> None:
        import keras

        self._optimizer = optimizer
        self.clip = optimizer._clip_gradients
        self.has_schedule = has_schedule(optimizer)
        # A fold has its own learning rate and step count: callbacks may change the
        # one, and folds of different size differ in the other. A schedule may branch
        # on the step, so it gets a scalar.
        shape = () if self.has_schedule else (n_folds, 1, LANES)
        self._block_shape = (n_folds, n_weights // LANES, LANES)
        self._weights = keras.Variable(np.zeros(self._block_shape, "float32"))
        self._free_of_variables()
        self._replace("_iterations", keras.Variable(np.zeros(shape, "int64")))
        if not self.has_schedule:
            rate = keras.Variable(np.zeros(shape, "float32"))
            self._replace("_learning_rate", rate)
        optimizer.build([self._weights])
        self._state = [v for v in optimizer.variables if not self._is_replaced(v)]

    def initial_state(self) -> list[Any]:
        """Return the state before the first step, as tensors."""
        import tensorflow as tf

        return [tf.constant(variable.numpy()) for variable in self._state]

    def learning_rates(self, rates: Sequence[float]) -> np.ndarray:
        """Return one learning rate a fold in the form `update` takes."""
        if self.has_schedule:
            return np.zeros((), np.float32)
        column = np.array(rates, np.float32)[:, None, None]
        return np.broadcast_to(column, (len(column), 1, LANES))

    def update(
        self, weights: Any, state: Sequence[Any], gradients: Any, learning_rate: Any
    ) -> tuple[Any, list[Any]]:
        """Make one step.

        Args:
            weights: Shape (n_folds, n_weights).
            state: From `initial_state` or the last step.
            gradients: Shaped like ``weights``, already clipped.
            learning_rate: From `learning_rates`.

        Returns:
            New weights and state.
        """
        import keras
        import tensorflow as tf

        blocks = tf.reshape(weights, self._block_shape)
        mapping = [(self._weights, blocks), *zip(self._state, state, strict=True)]
        if not self.has_schedule:
            mapping.append((self._optimizer._learning_rate, learning_rate))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            gradients = tf.reshape(gradients, self._block_shape)
            self._optimizer.apply([gradients], [self._weights])
        new_state = [scope.get_current_value(variable) for variable in self._state]
        new_weights = scope.get_current_value(self._weights)
        return tf.reshape(new_weights, weights.shape), new_state

    def _free_of_variables(self) -> None:
        """Use the backend-independent methods, which respect a StatelessScope.

        TensorFlow's versions (keras 3.15, backend/tensorflow/optimizer.py) assign to
        variables directly, which is why ``stateless_apply`` is refused there.
        """
        from keras.src.optimizers.base_optimizer import BaseOptimizer

        for name in (
            "_var_key",
            "assign",
            "assign_add",
            "assign_sub",
            "_backend_update_step",
        ):
            method = types.MethodType(getattr(BaseOptimizer, name), self._optimizer)
            setattr(self._optimizer, name, method)
        self._optimizer._apply_weight_decay = self._decay_weights
        self._optimizer._clip_gradients = lambda gradients: gradients

    def _decay_weights(self, variables: Sequence[Any]) -> None:
        """Shrink weights as ``TFOptimizer._apply_weight_decay`` does."""
        import tensorflow as tf

        if self._optimizer.weight_decay is None:
            return
        rate = tf.cast(self._optimizer.learning_rate, "float32")
        decay = tf.cast(self._optimizer.weight_decay, "float32")
        for variable in variables:
            variable.assign(variable.value - variable.value * decay * rate)

    def _replace(self, attribute: str, variable: Any) -> None:
        self._optimizer._untrack_variable(getattr(self._optimizer, attribute))
        setattr(self._optimizer, attribute, variable)

    def _is_replaced(self, variable: Any) -> bool:
        return not self.has_schedule and variable is self._optimizer._learning_rate


def has_schedule(optimizer: Any) -> bool:
    """Whether the learning rate is a function of the step."""
    import keras

    return not isinstance(optimizer._learning_rate, keras.Variable)
