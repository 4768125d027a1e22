"""Hyperparameters on a common scale from 0 to 1, and trials in groups by rank."""

import math
from collections.abc import Sequence

from ktune.diagnosis import ParameterView, TrialView
from ktune.report.figures.figure import shown
from ktune.report.space import observed_space
from ktune.report.view import SearchReport
from ktune.trial import Value


def varied_parameters(report: SearchReport) -> list[ParameterView]:
    """Return parameters with more than one value, most important first."""
    values = [view.trial.values for view in report.ranked]
    space = {**observed_space(values), **report.search.space}
    seen = {
        name: len({trial[name] for trial in values if name in trial}) for name in space
    }
    order = {each.name: place for place, each in enumerate(report.importances)}
    names = sorted(
        (name for name in space if seen.get(name, 0) > 1),
        key=lambda name: order.get(name, len(order)),
    )
    return [space[name] for name in names]


def place(parameter: ParameterView, value: Value) -> float:
    """Return the position of a value between the ends of its parameter, 0 … 1."""
    low, high = parameter.low, parameter.high
    if low is None or high is None:
        choices = list(parameter.choices)
        index = choices.index(value) if value in choices else 0
        return index / max(len(choices) - 1, 1)
    assert isinstance(value, int | float)
    if high == low:
        return 0.5
    if parameter.is_log and low > 0:
        share = math.log(max(value, 1e-300) / low) / math.log(high / low)
    else:
        share = (value - low) / (high - low)
    return min(max(share, 0.0), 1.0)


def ends(parameter: ParameterView) -> tuple[str, str]:
    """Return the two ends of a parameter as text."""
    if parameter.low is None or parameter.high is None:
        choices = parameter.choices or ("",)
        return shown(choices[0]), shown(choices[-1])
    return shown(parameter.low), shown(parameter.high)


def rank_groups(
    ranked: Sequence[TrialView], n_groups: int
) -> list[Sequence[TrialView]]:
    """Split ranked trials into groups of about equal size."""
    size = math.ceil(len(ranked) / n_groups) or 1
    return [ranked[start : start + size] for start in range(0, len(ranked), size)]
