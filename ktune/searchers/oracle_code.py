"""How a parameter's values look in the space of one of KerasTuner's oracles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keras_tuner.engine import hyperparameters

from ktune.searchers.parameter import Parameter
from ktune.trial import Value

_N_SAMPLES = 10
"""KerasTuner's grid takes so many values of a continuous parameter."""


class Encoding(Protocol):
    """How a parameter's values look in the oracle."""

    @property
    def inactive(self) -> Any:
        """What stands for the value in a trial that did not ask for it."""
        ...

    def declare(self, key: str) -> Any:
        """Return the `keras_tuner` hyperparameter for the oracle's space."""
        ...

    def encode(self, value: Value) -> Any:
        """Return the oracle's value."""
        ...

    def decode(self, raw: Any) -> Value:
        """Return the builder's value."""
        ...


@dataclass(frozen=True)
class _IndexEncoding:
    """An index of the parameter's values."""

    parameter: Parameter

    @property
    def inactive(self) -> int:
        return self.encode(self.parameter.default)

    def declare(self, key: str) -> Any:
        assert self.parameter.n_values is not None
        last = self.parameter.n_values - 1
        return hyperparameters.Int(key, 0, last, default=self.inactive)

    def encode(self, value: Value) -> int:
        return self.parameter.index_of(value)

    def decode(self, raw: Any) -> Value:
        return self.parameter.value_at(int(raw))


@dataclass(frozen=True)
class _RangeEncoding:
    """The value itself, from a range without steps."""

    parameter: Parameter

    @property
    def inactive(self) -> Any:
        return self.encode(self.parameter.default)

    def declare(self, key: str) -> Any:
        parameter = self.parameter
        is_int = parameter.kind == "int"
        kind = hyperparameters.Int if is_int else hyperparameters.Float
        return kind(
            key,
            parameter.low,
            parameter.high,
            sampling=parameter.sampling,
            default=self.inactive,
        )

    def encode(self, value: Value) -> Value:
        return self.parameter.plain(value)

    def decode(self, raw: Any) -> Value:
        # Bayesian optimization proposes one more than the maximum of a logarithmic
        # Int where its optimum lies on the edge (int_hp.py); `plain` clips.
        return self.parameter.plain(raw)


@dataclass(frozen=True)
class _GridEncoding:
    """An index of the values the grid goes through, the default first."""

    values: Sequence[Value]

    @property
    def inactive(self) -> int:
        # The grid goes on by raising the last parameter that is not at its end. So
        # it does not go through the values of a parameter nobody asked for.
        return len(self.values) - 1

    def declare(self, key: str) -> Any:
        return hyperparameters.Int(key, 0, len(self.values) - 1, default=0)

    def encode(self, value: Value) -> int:
        return self.values.index(value) if value in self.values else 0

    def decode(self, raw: Any) -> Value:
        return self.values[int(raw)]


def encoding_of(parameter: Parameter, *, is_grid: bool) -> Encoding:
    """Return the code for a parameter with more than one value."""
    if is_grid:
        return _GridEncoding(_grid_values(parameter))
    is_listed = parameter.low is None or parameter.step is not None
    return _IndexEncoding(parameter) if is_listed else _RangeEncoding(parameter)


def _grid_values(parameter: Parameter) -> tuple[Value, ...]:
    shares = (index / _N_SAMPLES + 0.5 / _N_SAMPLES for index in range(_N_SAMPLES))
    values = parameter.values or tuple(map(parameter.value_at_share, shares))
    return tuple(dict.fromkeys([parameter.default, *values]))
