"""A declared hyperparameter in the form that engines and the trial store share.

It represents KerasTuner's Int, Float, Choice, Boolean and Fixed as plain data, so that
a study can be read without importing KerasTuner (7 seconds).
"""

import functools
import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from ktune.errors import SpaceError
from ktune.trial import Value

Kind: TypeAlias = Literal["int", "float", "choice", "boolean", "fixed"]

MAX_VALUES = 10_000
"""A parameter of more values than this is treated as continuous."""

_KINDS: Mapping[str, Kind] = {
    "Int": "int",
    "Float": "float",
    "Choice": "choice",
    "Boolean": "boolean",
    "Fixed": "fixed",
}

_TOLERANCE = Decimal("1e-9")


@dataclass(frozen=True)
class Parameter:
    """A declared hyperparameter.

    Attributes:
        name: Name with its name scopes, as in `Trial.values`.
        kind: Kind of the declaration.
        default: Value without a search; need not be a multiple of the step.
        low: Smallest value; None unless int or float.
        high: Largest value, included.
        step: Distance of two values, or their ratio if ``sampling`` is not linear.
        sampling: "linear", "log" (dense near ``low``) or "reverse_log".
        choices: Values of a choice, each once.
        conditions: Parent names and the values for which this parameter is active;
            all must hold.
    """

    name: str
    kind: Kind
    default: Value
    low: float | None = None
    high: float | None = None
    step: float | None = None
    sampling: str = "linear"
    choices: tuple[Value, ...] = ()
    conditions: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    @functools.cached_property
    def n_values(self) -> int | None:
        """Number of values; None for a continuous range."""
        if self.low is None or self.high is None:
            return len(self._listed)
        if self.low == self.high:
            return 1
        if self.step is None:
            return int(self.high - self.low) + 1 if self.kind == "int" else None
        if self.sampling == "linear":
            # KerasTuner divides floats here and loses the maximum: 0.3 // 0.1 == 2.
            steps = (_decimal(self.high) - _decimal(self.low)) / _decimal(self.step)
            return int(steps + _TOLERANCE) + 1
        return int(math.log(self.high / self.low, self.step) + 1e-8) + 1

    @functools.cached_property
    def values(self) -> tuple[Value, ...] | None:
        """All values; None for a continuous range, or more than `MAX_VALUES`."""
        if self.n_values is None or self.n_values > MAX_VALUES:
            return None
        return tuple(self.value_at(index) for index in range(self.n_values))

    @property
    def is_single(self) -> bool:
        """Whether there is only one value."""
        return self.n_values == 1

    def value_at(self, index: int) -> Value:
        """Return one of ``n_values`` values, counted from 0."""
        if self.low is None or self.high is None:
            return self._listed[index]
        if self.step is None:
            return self.plain(self.low + index)
        if self.sampling == "linear":
            exact = _decimal(self.low) + index * _decimal(self.step)
            return self.plain(int(exact) if self.kind == "int" else float(exact))
        value = self.low * math.pow(self.step, index)
        is_mirrored = self.sampling == "reverse_log"
        return self.plain(self.mirror(value) if is_mirrored else value)

    def index_of(self, value: Value) -> int:
        """Return the index of the nearest value; the inverse of `value_at`."""
        if self.low is None:
            return self._listed.index(value)
        assert self.n_values is not None
        assert not isinstance(value, str)
        return min(max(round(self._steps_to(value)), 0), self.n_values - 1)

    def value_at_share(self, share: float) -> Value:
        """Return the quantile of the values at a share in [0, 1)."""
        if self.n_values is not None and (self.step is not None or self.low is None):
            return self.value_at(min(int(share * self.n_values), self.n_values - 1))
        assert self.low is not None
        assert self.high is not None
        # The highest int has a share of its own.
        high = self.high + 1 if self.kind == "int" else self.high
        if self.sampling == "linear":
            return self.plain(self.low + share * (high - self.low))
        if self.sampling == "log":
            return self.plain(self.low * math.pow(high / self.low, share))
        mirrored = self.low * math.pow(high / self.low, 1 - share)
        return self.plain(high + self.low - mirrored)

    def draw(self, generator: random.Random) -> Value:
        """Return a random value."""
        return self.value_at_share(generator.random())

    def admits(self, value: Any) -> bool:
        """Whether a value is inside the bounds, or the default."""
        if self.low is None or self.high is None:
            return value in self._listed
        if isinstance(value, str) or value != self.plain(value):
            return False
        return value == self.default or self.low <= value <= self.high

    def describe(self) -> str:
        """Return the possible values in words."""
        if self.low is None:
            return f"one of {list(self._listed)}"
        kind = "a whole number" if self.kind == "int" else "a number"
        return f"{kind} from {self.low} to {self.high}"

    def mirror(self, value: float) -> float:
        """Return the value as far from ``high`` as the given one is from ``low``."""
        assert self.low is not None
        assert self.high is not None
        return self.low + self.high - value

    def plain(self, value: Any) -> Value:
        """Return a value clipped to the bounds, in the Python type of this kind."""
        if self.kind == "boolean":
            return bool(value)
        if self.kind not in ("int", "float"):
            return value.item() if hasattr(value, "item") else value
        assert self.low is not None
        assert self.high is not None
        if self.kind == "int":
            # A power such as 2.0 ** 3 may fall short of a whole number by rounding.
            return min(max(math.floor(value + 1e-9), int(self.low)), int(self.high))
        return min(max(float(value), float(self.low)), float(self.high))

    @property
    def _listed(self) -> tuple[Value, ...]:
        by_kind: Mapping[str, tuple[Value, ...]] = {
            "boolean": (False, True),
            "choice": self.choices,
            "fixed": (self.default,),
        }
        return by_kind[self.kind]

    def _steps_to(self, value: float) -> float:
        assert self.low is not None
        if self.step is None:
            return value - self.low
        if self.sampling == "linear":
            return (value - self.low) / self.step
        ratio = self.mirror(value) if self.sampling == "reverse_log" else value
        return math.log(max(ratio, self.low) / self.low, self.step)


def parameter_of(hyperparameter: Any) -> Parameter:
    """Return the parameter of a `keras_tuner` Int, Float, Choice, Boolean or Fixed.

    Raises:
        SpaceError: The class is another one, or its bounds or step are invalid.
    """
    kind = _KINDS.get(type(hyperparameter).__name__)
    name = hyperparameter.name
    if kind is None:
        raise SpaceError(
            f"parameter {name!r}: {type(hyperparameter).__name__} is not known. "
            f"Known: {', '.join(_KINDS)}"
        )
    fields: dict[str, Any] = {"name": name, "kind": kind}
    fields["conditions"] = tuple(
        (condition.name, tuple(condition.values))
        for condition in hyperparameter.conditions
    )
    if kind in ("int", "float"):
        fields |= _range_of(hyperparameter, int if kind == "int" else float)
    else:
        fields["default"] = _plain(hyperparameter.default)
    if kind == "choice":
        # Samplers would treat a value that is listed twice as two values.
        choices = dict.fromkeys(_plain(value) for value in hyperparameter.values)
        fields["choices"] = tuple(choices)
    return Parameter(**fields)


def parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as JSON content."""
    return asdict(parameter)


def parameter_from_json(stored: Mapping[str, Any]) -> Parameter:
    """Return the parameter that `parameter_to_json` stored."""
    conditions = tuple((name, tuple(values)) for name, values in stored["conditions"])
    changes = {"choices": tuple(stored["choices"]), "conditions": conditions}
    return Parameter(**{**stored, **changes})


def _range_of(hyperparameter: Any, number: type) -> dict[str, Any]:
    step = hyperparameter.step
    bounds = (hyperparameter.min_value, hyperparameter.max_value)
    if not all(map(math.isfinite, bounds)):
        raise SpaceError(
            f"parameter {hyperparameter.name!r}: its bounds must be finite numbers; "
            f"got {bounds[0]} and {bounds[1]}"
        )
    if step is not None and not 0 < step < math.inf:
        raise SpaceError(
            f"parameter {hyperparameter.name!r}: its step must be a positive number; "
            f"got {step}"
        )
    return {
        "default": number(hyperparameter.default),
        "low": number(hyperparameter.min_value),
        "high": number(hyperparameter.max_value),
        "step": None if step is None else number(step),
        "sampling": hyperparameter.sampling,
    }


def _plain(value: Any) -> Value:
    return value.item() if hasattr(value, "item") else value


def _decimal(number: float) -> Decimal:
    # From the shortest text, so that 0.1 is exactly a tenth.
    return Decimal(repr(number))
