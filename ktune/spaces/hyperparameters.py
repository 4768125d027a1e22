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


class KnownHyperParameters(keras_tuner.HyperParameters):
    """A `keras_tuner.HyperParameters` with all values of a trial, perhaps an old one.

    Args:
        values: Value of each parameter; others have their defaults.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__()
        self.values = dict(values)


def replay(values: Mapping[str, Value]) -> keras_tuner.HyperParameters:
    """Return an ``hp`` with these values; other parameters keep their defaults."""
    return KnownHyperParameters(values)


def is_unknown(hp: Any, name: str) -> bool:
    """Whether a trial was recorded before its space had a parameter.

    A parameter that is added to a space of ktune changes nothing of such a trial.
    """
    return isinstance(hp, KnownHyperParameters) and name not in hp.values


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
