"""Ranges of the parameters of a search: from its study, or from its trials."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ktune.diagnosis import ParameterView
from ktune.errors import StoreError
from ktune.trial import Value


def read_space(study: Path | None, name: str) -> dict[str, ParameterView]:
    """Return the declared ranges of a search; {} if its study cannot be read.

    Args:
        study: File of the study, or None.
        name: Name of the study.
    """
    if study is None or not study.exists():
        return {}
    from ktune.searchers.trial_store import open_trial_store

    try:
        return _by_name(open_trial_store(study, name).parameters().values())
    except (StoreError, OSError):
        return {}


def space_from_json(stored: Mapping[str, Any]) -> dict[str, ParameterView]:
    """Return the ranges of parameters from their JSON form."""
    from ktune.searchers.parameter import parameter_from_json

    return _by_name(parameter_from_json(parameter) for parameter in stored.values())


def _by_name(declared: Iterable[Any]) -> dict[str, ParameterView]:
    # A name may be declared several times with different ranges; use the first.
    space: dict[str, ParameterView] = {}
    for parameter in declared:
        space.setdefault(parameter.name, _plain(parameter))
    return space


def observed_space(values: Sequence[Mapping[str, Value]]) -> dict[str, ParameterView]:
    """Return the ranges of the values of trials."""
    seen: dict[str, list[Value]] = {}
    for trial in values:
        for name, value in trial.items():
            seen.setdefault(name, []).append(value)
    return {name: _observed(name, observed) for name, observed in seen.items()}


def _plain(parameter: Any) -> ParameterView:
    choices = parameter.choices
    if parameter.kind == "boolean":
        choices = (False, True)
    elif parameter.kind == "fixed":
        choices = (parameter.default,)
    return ParameterView(
        name=parameter.name,
        low=parameter.low,
        high=parameter.high,
        is_log=parameter.sampling == "log",
        choices=choices,
        step=1 if parameter.kind == "int" and not parameter.step else parameter.step,
    )


def _observed(name: str, values: Sequence[Value]) -> ParameterView:
    numbers = [v for v in values if isinstance(v, int | float)]
    is_number = len(numbers) == len(values) and not any(
        isinstance(v, bool) for v in values
    )
    if not is_number:
        return ParameterView(name, choices=tuple(sorted(set(values), key=str)))
    low, high = min(numbers), max(numbers)
    return ParameterView(name, low, high, is_log=low > 0 and high / low >= 20)
