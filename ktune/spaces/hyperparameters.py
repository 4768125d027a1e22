"""``hp`` of KerasTuner with values proposed define-by-run, or with known values."""

from collections.abc import Callable, Mapping
from typing import Any

import keras_tuner

from ktune.trial import Value


class ProposingHyperParameters(keras_tuner.HyperParameters):
    """A `keras_tuner.HyperParameters` that gets each new value from a function.

    A value is proposed when the builder requests it, and only if its conditions hold,
    so inactive parameters are neither proposed nor recorded.

    Args:
        propose: Receives the declared parameter (a `keras_tuner` Int, Float, Choice,
            Boolean or Fixed) and returns its value.
    """

    def __init__(self, propose: Callable[[Any], Value]) -> None:
        super().__init__()
        self.propose = propose

    def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
        # A private method, but all declarations call it, and there is no public hook
        # (keras_tuner/src/engine/hyperparameters, 1.4.8).
        name = hyperparameter.name
        is_active = self._conditions_are_active(hyperparameter.conditions)
        if is_active and name not in self.values:
            self.values[name] = self.propose(hyperparameter)
        return super()._register(hyperparameter, overwrite=False)


def replay(values: Mapping[str, Value]) -> keras_tuner.HyperParameters:
    """Return an ``hp`` with these values; other parameters keep their defaults."""
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values = dict(values)
    return hyperparameters


def declarations(declare: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a function that repeats the declarations made for default values.

    It requests the same hyperparameters from another ``hp`` without the builder, which
    may crash for other values.
    """
    hyperparameters = keras_tuner.HyperParameters()
    declare(hyperparameters)

    def repeat(hp: Any) -> None:
        for hyperparameter in hyperparameters.space:
            hp._register(hyperparameter)

    return repeat


def default_values(declare: Callable[[Any], None]) -> dict[str, Value]:
    """Return the default values of all declared parameters."""
    hyperparameters = keras_tuner.HyperParameters()
    declare(hyperparameters)
    return dict(hyperparameters.values)
