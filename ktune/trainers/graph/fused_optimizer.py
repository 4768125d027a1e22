"""Optimizers with a fused kernel of TensorFlow: one pass over the weights per step.

Keras implements Adam as a dozen operations, each of which passes through memory. For
an MLP of some 200,000 weights that takes longer than its matrix products. The fused
kernel (`tf.raw_ops.ResourceApplyAdam` and the like) reads gradient, weights and moments
once and computes the same formula.

The kernels need TensorFlow variables. These exist only during the call of one epoch,
so that a program stays a pure function: its inputs and outputs are tensors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from ktune.trainers.graph.optimizer_numbers import (
    OF_CLASS,
    clip_of,
    has_fused_kernel,
    input_names,
    settings_of,
)
from ktune.trainers.graph.weight_layout import WeightLayout

_ANONYMOUS = "cd2c89b7-88b7-44c8-ad83-06c2a9158347"
"""TensorFlow's name for a resource that is created anew at every execution."""

Numbers: TypeAlias = Mapping[str, Any]
"""Setting to scalar tensor."""

Kernel: TypeAlias = Callable[[Sequence[Any], Any, Any, Numbers, bool], None]
"""Applies a step: handles (weight, slots), gradient, steps, numbers, is nesterov."""


@dataclass(frozen=True)
class _Rule:
    """Update rule of an optimizer.

    Attributes:
        apply: The kernel.
        n_slots: Number of slot variables per weight.
    """

    apply: Kernel
    n_slots: int


class FusedOptimizer:
    """Updates the weights of all folds, tensor by tensor.

    Args:
        optimizer: A Keras optimizer that `can_fuse` accepts.
        layout: Layout of the weights.
        n_folds: Number of folds in one program call.
    """

    has_schedule = False

    def __init__(self, optimizer: Any, layout: WeightLayout, n_folds: int) -> None:
        config = optimizer.get_config()
        name = type(optimizer).__name__
        self._layout = layout
        self._n_folds = n_folds
        self._names = input_names(config, name)
        self._needed = OF_CLASS[name]
        self._clip = clip_of(config)
        self._is_nesterov = bool(config.get("nesterov"))
        self._rule = _RULES[name if config.get("momentum", 1) else f"plain {name}"]
        # Only while a program is traced: fold, tensor, weight and slots.
        self._handles: list[list[list[Any]]] = []

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
        """Return the state before the first step: step count and slots."""
        slot = tf.zeros((self._n_folds, layout.size))
        return [tf.zeros(self._n_folds, tf.int64)] + [slot] * self._rule.n_slots

    def open(self, weights: Any, state: Sequence[Any], layout: WeightLayout) -> Any:
        """Create variables of weights and slots; return the loop variables."""
        steps, *slots = state
        self._handles = [
            [
                [_variable(part) for part in parts]
                for parts in zip(
                    *(self._layout.split(each[k]) for each in (weights, *slots)),
                    strict=True,
                )
            ]
            for k in range(self._n_folds)
        ]
        return steps

    def weights(self, carried: Any) -> list[list[Any]]:
        """Return the present weights of every fold as the model's tensors."""
        return [self._read(fold, 0) for fold in self._handles]

    def clip(self, gradients: Sequence[Any], settings: Any) -> Sequence[Any]:
        """Limit the gradients of one fold; ``settings`` is its row."""
        if self._clip is None:
            return gradients
        name, clip = self._clip
        return clip(gradients, self._numbers(settings)[name])

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
        steps = carried + 1
        for k in range(self._n_folds):

            def update(k: int = k) -> None:
                self._update(k, gradients[k], steps[k], self._numbers(settings[k]))

            if is_active is None:
                update()
            else:
                tf.cond(is_active[k], update, lambda: None)
        return steps if is_active is None else tf.where(is_active, steps, carried)

    def close(self, carried: Any) -> tuple[Any, list[Any]]:
        """Return weights and state as tensors."""
        flat = [
            tf.stack([self._layout.join(self._read(fold, i)) for fold in self._handles])
            for i in range(1 + self._rule.n_slots)
        ]
        return flat[0], [carried, *flat[1:]]

    def _update(self, fold: int, gradients: Any, step: Any, numbers: Numbers) -> None:
        for handles, gradient in zip(self._handles[fold], gradients, strict=True):
            if "weight_decay" in numbers:
                shrink = numbers["weight_decay"] * numbers["learning_rate"]
                value = _read(handles[0], gradient.shape)
                tf.raw_ops.AssignSubVariableOp(
                    resource=handles[0], value=value * shrink
                )
            self._rule.apply(handles, gradient, step, numbers, self._is_nesterov)

    def _numbers(self, settings: Any) -> Numbers:
        names = ("learning_rate", *self._names)
        numbers = dict(zip(names, tf.unstack(settings), strict=True))
        return {**dict.fromkeys(self._needed, tf.constant(0.0)), **numbers}

    def _read(self, fold: Sequence[Any], i: int) -> list[Any]:
        pairs = zip(fold, self._layout.shapes, strict=True)
        return [_read(handles[i], shape) for handles, shape in pairs]


def can_fuse(optimizer: Any, variables: Sequence[Any]) -> bool:
    """Whether `FusedOptimizer` supports the optimizer and these weights."""
    has_constraints = any(variable.constraint for variable in variables)
    config, name = optimizer.get_config(), type(optimizer).__name__
    return not has_constraints and has_fused_kernel(config, name)


def _variable(value: Any) -> Any:
    handle = tf.raw_ops.VarHandleOp(
        dtype=value.dtype, shape=value.shape, shared_name=_ANONYMOUS
    )
    tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    return handle


def _read(handle: Any, shape: Sequence[int]) -> Any:
    return tf.ensure_shape(
        tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32), shape
    )


def _adam(
    handles: Sequence[Any], gradient: Any, step: Any, numbers: Numbers, nesterov: bool
) -> None:
    variable, momentum, velocity = handles
    count = tf.cast(step, tf.float32)
    tf.raw_ops.ResourceApplyAdam(
        var=variable,
        m=momentum,
        v=velocity,
        beta1_power=tf.pow(numbers["beta_1"], count),
        beta2_power=tf.pow(numbers["beta_2"], count),
        lr=numbers["learning_rate"],
        beta1=numbers["beta_1"],
        beta2=numbers["beta_2"],
        epsilon=numbers["epsilon"],
        grad=gradient,
    )


def _rmsprop(
    handles: Sequence[Any], gradient: Any, step: Any, numbers: Numbers, nesterov: bool
) -> None:
    variable, velocity, momentum = handles
    tf.raw_ops.ResourceApplyRMSProp(
        var=variable,
        ms=velocity,
        mom=momentum,
        lr=numbers["learning_rate"],
        rho=numbers["rho"],
        momentum=numbers["momentum"],
        epsilon=numbers["epsilon"],
        grad=gradient,
    )


def _momentum(
    handles: Sequence[Any], gradient: Any, step: Any, numbers: Numbers, nesterov: bool
) -> None:
    variable, momentum = handles
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable,
        accum=momentum,
        lr=numbers["learning_rate"],
        grad=gradient,
        momentum=numbers["momentum"],
        use_nesterov=nesterov,
    )


def _descent(
    handles: Sequence[Any], gradient: Any, step: Any, numbers: Numbers, nesterov: bool
) -> None:
    tf.raw_ops.ResourceApplyGradientDescent(
        var=handles[0], alpha=numbers["learning_rate"], delta=gradient
    )


_RULES: Mapping[str, _Rule] = {
    "Adam": _Rule(_adam, n_slots=2),
    "AdamW": _Rule(_adam, n_slots=2),
    "RMSprop": _Rule(_rmsprop, n_slots=2),
    "plain RMSprop": _Rule(_rmsprop, n_slots=2),
    "SGD": _Rule(_momentum, n_slots=1),
    "plain SGD": _Rule(_descent, n_slots=0),
}
