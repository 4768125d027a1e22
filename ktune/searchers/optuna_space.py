"""Conversion between hyperparameters and Optuna distributions.

========================= ================================= =======================
declared                  Optuna's parameter                stored as
========================= ================================= =======================
Fixed, one possible value none
Boolean                   ``Categorical(False, True)``      the value
Choice                    ``Categorical(choices)``          the value
Int                       ``Int(low, high, step)``          the value
Float                     ``Float(low, high)``              the value
Float, step               ``Float(low, high, step)``        the value, rounded
Float, step like 1/3      ``Int(0, n - 1)``                 ``name (index)``
Int or Float, log         the same, ``log=True``            the value
Int or Float, reverse_log the same, ``log=True``            ``name (mirrored)``
… log, reverse_log, step  ``Int(0, n - 1)``                 ``name (index)``
========================= ================================= =======================

Optuna refuses a step with a logarithmic scale, and drops the last value of a range
that its step does not divide exactly in decimals: hence the indices. A default that
is not a multiple of the step is stored as the nearest multiple; the trial store keeps
its exact value.
"""

from decimal import Decimal
from typing import Any, Literal, TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ktune.searchers.parameter import Parameter
from ktune.trial import Value

Form: TypeAlias = Literal["value", "steps", "index", "mirrored"]

_SUFFIXES: dict[Form, str] = {"index": " (index)", "mirrored": " (mirrored)"}


def stored_name(key: str, parameter: Parameter) -> str:
    """Return the name of Optuna's parameter, with a suffix if it is encoded."""
    return key + _SUFFIXES.get(_form(parameter), "")


def distribution_of(parameter: Parameter) -> BaseDistribution | None:
    """Return Optuna's distribution for a parameter; None if it has a single value."""
    if parameter.is_single:
        return None
    if parameter.low is None or parameter.high is None:
        assert parameter.values is not None
        return CategoricalDistribution(parameter.values)
    form, n_values = _form(parameter), parameter.n_values
    if form == "index":
        assert n_values is not None
        return IntDistribution(0, n_values - 1)
    if form == "steps":
        assert n_values is not None
        return _stepped(parameter, parameter.value_at(n_values - 1))
    is_log = parameter.sampling != "linear"
    if parameter.kind == "int":
        return IntDistribution(int(parameter.low), int(parameter.high), log=is_log)
    return FloatDistribution(parameter.low, parameter.high, log=is_log)


def decode(parameter: Parameter, stored: Any) -> Value:
    """Return the value of a parameter for the stored value of Optuna's parameter."""
    form = _form(parameter)
    if form == "index":
        return parameter.value_at(int(stored))
    if form == "steps":
        return parameter.value_at(parameter.index_of(stored))
    if form == "mirrored":
        return parameter.plain(parameter.mirror(stored))
    return parameter.plain(stored)


def encode(parameter: Parameter, value: Value) -> Any:
    """Return the nearest value of Optuna's parameter."""
    form = _form(parameter)
    if form == "index":
        return parameter.index_of(value)
    if form == "steps":
        return parameter.value_at(parameter.index_of(value))
    if form == "mirrored":
        assert not isinstance(value, str)
        return parameter.plain(parameter.mirror(value))
    return parameter.plain(value)


def _form(parameter: Parameter) -> Form:
    if parameter.low is None or parameter.is_single:
        return "value"
    if parameter.step is not None:
        is_native = parameter.sampling == "linear" and _divides_in_decimals(parameter)
        return "steps" if is_native else "index"
    return "mirrored" if parameter.sampling == "reverse_log" else "value"


def _divides_in_decimals(parameter: Parameter) -> bool:
    """Whether Optuna, which computes with decimals, includes the last value."""
    assert parameter.n_values is not None
    low, step, last = (
        Decimal(str(number))
        for number in (
            parameter.low,
            parameter.step,
            parameter.value_at(parameter.n_values - 1),
        )
    )
    return (last - low) % step == 0


def _stepped(parameter: Parameter, last: Any) -> BaseDistribution:
    assert parameter.low is not None
    assert parameter.step is not None
    if parameter.kind == "int":
        return IntDistribution(int(parameter.low), last, step=int(parameter.step))
    return FloatDistribution(parameter.low, last, step=parameter.step)
