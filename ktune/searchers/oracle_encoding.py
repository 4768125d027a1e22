"""Encodings of parameters for the oracles of KerasTuner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keras_tuner.engine import hyperparameters

from ktune.searchers.parameter import Parameter
from ktune.trial import Value

_N_SAMPLES = 10
"""Number of grid points of a continuous parameter, as in KerasTuner."""


class Encoding(Protocol):
    """Encoding of a parameter's values for an oracle."""

    @property
    def inactive(self) -> Any:
        """Encoded value in a trial that did not request the parameter."""
        ...

    def declare(self, key: str) -> Any:
        """Return the `keras_tuner` hyperparameter for the oracle's space."""
        ...

    def encode(self, value: Value) -> Any:
        """Return the encoded value."""
        ...

    def decode(self, raw: Any) -> Value:
        """Return the value for the builder."""
        ...


@dataclass(frozen=True)
class _IndexEncoding:
    """Index into the parameter's values."""

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
    """The value itself, in a range without steps."""

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
        # Bayesian optimization exceeds the maximum of a logarithmic Int by one if its
        # optimum is on the edge (int_hp.py); `plain` clips.
        return self.parameter.plain(raw)


@dataclass(frozen=True)
class _GridEncoding:
    """Index into the grid points, the default first."""

    values: Sequence[Value]

    @property
    def inactive(self) -> int:
        # The grid increments the last parameter that is not at its end, so it skips
        # the values of an inactive parameter that is at its end.
        return len(self.values) - 1

    def declare(self, key: str) -> Any:
        return hyperparameters.Int(key, 0, len(self.values) - 1, default=0)

    def encode(self, value: Value) -> int:
        return self.values.index(value) if value in self.values else 0

    def decode(self, raw: Any) -> Value:
        return self.values[int(raw)]


def encoding_of(parameter: Parameter, *, is_grid: bool) -> Encoding:
    """Return the encoding of a parameter with more than one value."""
    if is_grid:
        return _GridEncoding(_grid_values(parameter))
    is_listed = parameter.low is None or parameter.step is not None
    return _IndexEncoding(parameter) if is_listed else _RangeEncoding(parameter)


def _grid_values(parameter: Parameter) -> tuple[Value, ...]:
    shares = (index / _N_SAMPLES + 0.5 / _N_SAMPLES for index in range(_N_SAMPLES))
    values = parameter.values or tuple(map(parameter.value_at_share, shares))
    return tuple(dict.fromkeys([parameter.default, *values]))
