"""A Keras optimizer as a pure function of one flat vector of weights per fold.

An optimizer executes a dozen small operations per weight tensor and step, which
dominate the time of a small model. With all weights of all folds in one matrix, the
same operations are executed once. They are elementwise, so the results are identical
bit for bit. `FusedOptimizer` is faster still for optimizers with a fused kernel.
"""

import types
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ktune.trainers.graph.input_number import InputNumber
from ktune.trainers.graph.optimizer_numbers import clip_of, input_names, settings_of
from ktune.trainers.graph.weight_layout import LANES, OpenLayout, WeightLayout


class FlatOptimizer:
    """Keras's own update rule, without variables.

    Args:
        optimizer: A Keras optimizer that is not built yet; it is modified, so it must
            not be used elsewhere.
        layout: Layout of the weights.
        n_folds: Number of folds in one program call.
        constraints: One per weight tensor, such as ``MaxNorm``, or None.
    """

    def __init__(
        self,
        optimizer: Any,
        layout: WeightLayout,
        n_folds: int,
        constraints: Sequence[Any],
    ) -> None:
        self._optimizer = optimizer
        self._layout: WeightLayout | OpenLayout = layout
        self._constraints = constraints
        self._n_folds = n_folds
        config = optimizer.get_config()
        self._names = input_names(config, type(optimizer).__name__)
        self._clip = clip_of(config)
        self.has_schedule = has_schedule(optimizer)
        # Each fold has its own learning rate, which callbacks may change, and its own
        # step count, which depends on its size. A schedule may branch on the step, so
        # it gets a scalar.
        shape = () if self.has_schedule else (n_folds, 1, LANES)
        blocks = np.zeros((n_folds, layout.size // LANES, LANES), "float32")
        self._weights = keras.Variable(blocks)
        self._free_of_variables()
        self._inputs = {name: self._make_input(name) for name in self._names}
        self._replace("_iterations", keras.Variable(np.zeros(shape, "int64")))
        if not self.has_schedule:
            rate = keras.Variable(np.zeros(shape, "float32"))
            self._replace("_learning_rate", rate)
        optimizer.build([self._weights])
        self._state = [v for v in optimizer.variables if not self._is_input(v)]

    def settings(
        self, learning_rates: Sequence[float], config: Mapping[str, Any]
    ) -> np.ndarray:
        """Return the numbers of a trial as an input of `step`.

        Args:
            learning_rates: One per fold; callbacks may change them fold by fold.
            config: The trial's optimizer's ``get_config``.

        Returns:
            Shape (n_folds, 1 + n_inputs), float32.
        """
        return settings_of(learning_rates, config, self._names)

    def initial_state(self, layout: WeightLayout) -> list[Any]:
        """Return the state before the first step, for weights of a layout."""
        shape = (self._n_folds, layout.size // LANES, LANES)
        return [
            tf.constant(variable.numpy())
            if variable is self._optimizer._iterations
            else tf.fill(shape, variable.numpy().flat[0])
            for variable in self._state
        ]

    def open(
        self, weights: Any, state: Sequence[Any], layout: WeightLayout | OpenLayout
    ) -> Any:
        """Return the loop variables; only while a program is traced."""
        self._layout = layout
        return weights, list(state)

    def weights(self, carried: Any) -> list[list[Any]]:
        """Return the present weights of every fold as the model's tensors."""
        return [self._layout.split(row) for row in tf.unstack(carried[0])]

    def clip(self, gradients: Sequence[Any], settings: Any) -> Sequence[Any]:
        """Limit the gradients of one fold; ``settings`` is its row."""
        if self._clip is None:
            return gradients
        name, clip = self._clip
        return clip(gradients, settings[1 + self._names.index(name)])

    def step(
        self, carried: Any, gradients: Sequence[Any], settings: Any, is_active: Any
    ) -> Any:
        """Make one step in every fold.

        Args:
            carried: From `open` or the last step.
            gradients: For each fold its tensors, already clipped.
            settings: From `settings`.
            is_active: Whether a fold has rows, shape (n_folds,); None: all have.
        """
        flat = tf.stack([self._layout.join(parts) for parts in gradients])
        weights, state = carried
        weights, state = self._update(weights, state, flat, settings)
        new = (self._constrained(weights), state)
        return new if is_active is None else _where(is_active, new, carried)

    def close(self, carried: Any) -> tuple[Any, list[Any]]:
        """Return weights and state."""
        weights, state = carried
        return weights, state

    def _update(
        self, weights: Any, state: Sequence[Any], gradients: Any, settings: Any
    ) -> tuple[Any, list[Any]]:
        block_shape = (self._n_folds, -1, LANES)
        blocks = tf.reshape(weights, block_shape)
        mapping = [(self._weights, blocks), *zip(self._state, state, strict=True)]
        # Equal in all folds, unlike the learning rate.
        mapping += zip(self._inputs.values(), tf.unstack(settings[0, 1:]), strict=True)
        if not self.has_schedule:
            rate = self._optimizer._learning_rate
            column = settings[:, 0][:, None, None]
            mapping.append((rate, tf.broadcast_to(column, rate.shape)))
        with stateless_scope(mapping) as scope:
            gradients = tf.reshape(gradients, block_shape)
            self._optimizer.apply([gradients], [self._weights])
        new_state = [scope.get_current_value(variable) for variable in self._state]
        new_weights = scope.get_current_value(self._weights)
        new_weights = tf.reshape(new_weights, (self._n_folds, -1))
        new_weights.set_shape(weights.shape)
        return new_weights, new_state

    def _constrained(self, weights: Any) -> Any:
        """Apply the constraints of weights, such as ``MaxNorm``."""
        if not any(self._constraints):
            return weights
        rows = [
            self._layout.join(
                [
                    part if constraint is None else constraint(part)
                    for part, constraint in zip(
                        self._layout.split(row), self._constraints, strict=True
                    )
                ]
            )
            for row in tf.unstack(weights)
        ]
        return tf.stack(rows)

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
        self._optimizer._clip_gradients = lambda gradients: gradients  # see `clip`

    def _decay_weights(self, variables: Sequence[Any]) -> None:
        """Shrink weights as ``TFOptimizer._apply_weight_decay`` does."""
        if self._optimizer.weight_decay is None:
            return
        rate = tf.cast(self._optimizer.learning_rate, "float32")
        decay = tf.cast(self._optimizer.weight_decay, "float32")
        for variable in variables:
            variable.assign(variable.value - variable.value * decay * rate)

    def _make_input(self, name: str) -> Any:
        """Replace a number by a variable."""
        setattr(self._optimizer, name, InputNumber(getattr(self._optimizer, name)))
        return getattr(self._optimizer, name)

    def _replace(self, attribute: str, variable: Any) -> None:
        self._optimizer._untrack_variable(getattr(self._optimizer, attribute))
        setattr(self._optimizer, attribute, variable)

    def _is_input(self, variable: Any) -> bool:
        rate = None if self.has_schedule else self._optimizer._learning_rate
        return any(variable is each for each in (rate, *self._inputs.values()))


def stateless_scope(mapping: Sequence[tuple[Any, Any]], **options: Any) -> Any:
    """Return a scope in which variables have these values, also of open shape."""
    scope = keras.StatelessScope(**options)
    for variable, value in mapping:
        # The constructor compares shapes, which a family of models leaves open.
        scope.add_update((variable, value))
    return scope


def has_schedule(optimizer: Any) -> bool:
    """Whether the learning rate is a function of the step."""
    return not isinstance(optimizer._learning_rate, keras.Variable)


def _where(is_active: Any, new: Any, old: Any) -> Any:
    """Keep the old state of folds without rows."""

    def choose(new: Any, old: Any) -> Any:
        if not len(new.shape):  # one number for all folds, as with a schedule
            return tf.where(is_active[0], new, old)
        shape = [-1] + [1] * (len(new.shape) - 1)
        return tf.where(tf.reshape(is_active, shape), new, old)

    return tf.nest.map_structure(choose, new, old)
