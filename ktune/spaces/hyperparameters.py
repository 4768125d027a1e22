"""``hp`` as builders know it: KerasTuner's, driven define-by-run or replayed."""

from collections.abc import Callable, Mapping
from typing import Any

import keras_tuner

from ktune.trial import Value


class ProposingHyperParameters(keras_tuner.HyperParameters):
    """A `keras_tuner.HyperParameters` that asks somebody for each new value.

    A value is proposed at the moment the builder asks for it, and only if its
    conditions hold, so inactive parameters are neither proposed nor recorded.

    Args:
        propose: Gets the declared parameter (a `keras_tuner` Int, Float, Choice,
            Boolean or Fixed) and returns its value.
    """

    def __init__(self, propose: Callable[[Any], Value]) -> None:
        super().__init__()
        self._propose = propose

    def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
        # Private, but the one place through which every declaration goes; there is no
        # public hook (keras_tuner/src/engine/hyperparameters, 1.4.8).
        name = hyperparameter.name
        is_active = self._conditions_are_active(hyperparameter.conditions)
        if is_active and name not in self.values:
            self.values[name] = self._propose(hyperparameter)
        return super()._register(hyperparameter, overwrite=False)


def replay(values: Mapping[str, Value]) -> keras_tuner.HyperParameters:
    """Return an ``hp`` that gives a builder these values, and defaults for others."""
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values = dict(values)
    return hyperparameters


def default_values(declare: Callable[[Any], None]) -> dict[str, Value]:
    """Return the values a builder gets when every parameter keeps its default."""
    hyperparameters = keras_tuner.HyperParameters()
    declare(hyperparameters)
    return dict(hyperparameters.values)
