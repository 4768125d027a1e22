"""KT011: the best value of a parameter lies on the edge of its range."""

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np

from ktune.diagnosis.remedies import show
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, finding
from ktune.diagnosis.view import ParameterView, SearchView, TrialView

LEAST_TRIALS = 10
TOP_SHARE = 0.2
MOST_TOP = 10
EDGE = 0.05


class EdgeOfRange:
    """The optimum is probably outside of the searched range.

    Threshold:
        At least 10 complete trials; the best trial's value lies in the outermost 5 %
        of the range (on its sampling scale) or is its first or last step, and the
        median of the best fifth of the trials lies in the outer quarter on the same
        side. Parameters with fewer than four values and unordered choices are
        ignored.

    Evidence:
        Position of the best value in the range, 0 … 1, by parameter.

    Source:
        Probst, Boulesteix & Bischl, Tunability, JMLR 20 (2019), on choosing ranges.
    """

    code: ClassVar[str] = "KT011"
    title: ClassVar[str] = "Best value at the edge of its range"
    severity: ClassVar[Severity] = Severity.TIP

    def check(self, view: SearchView) -> Finding | None:
        """Look at every numeric parameter of the best trial."""
        if not view.space:
            raise NotApplicable("the ranges of the parameters are not known")
        if len(view.complete) < LEAST_TRIALS:
            raise NotApplicable(f"it needs at least {LEAST_TRIALS} complete trials")
        top = _top(view)
        edges = [
            (name, side)
            for name in top[0].trial.values
            if name in view.space and (side := _side(view.space[name], top))
        ]
        if not edges:
            return None
        return self._finding(view, top[0], edges)

    def _finding(
        self, view: SearchView, best: TrialView, edges: list[tuple[str, str]]
    ) -> Finding:
        parts, remedies, evidence = [], [], {}
        for name, side in edges:
            parameter = view.space[name]
            edge = parameter.low if side == "low" else parameter.high
            value = best.trial.values[name]
            assert edge is not None
            assert isinstance(value, int | float)
            parts.append(
                f"`{name}` = {show(value)} at its "
                f"{'lower' if side == 'low' else 'upper'} end {show(edge)}"
            )
            remedies.append(f"`{name}` to {show(_further(parameter, side))}")
            evidence[name] = _position(parameter, value)
        message = f"The best trial has {', '.join(parts)}, as most good trials do."
        remedy = f"Widen the range in the builder: {', '.join(remedies)}."
        return replace(finding(self, message, remedy), evidence=evidence)


def _top(view: SearchView) -> list[TrialView]:
    """Return the best fifth of the complete trials, best first."""
    sign = -1.0 if view.context.objective.direction == "max" else 1.0
    ranked = sorted(view.complete, key=lambda v: sign * float(v.result.score or 0.0))
    return ranked[: max(3, min(MOST_TOP, round(TOP_SHARE * len(ranked))))]


def _side(parameter: ParameterView, top: list[TrialView]) -> str:
    """Return "low" or "high" if the good values lie at that end, else ""."""
    if parameter.low is None or parameter.high is None or parameter.n_values < 4:
        return ""
    values = [v.trial.values.get(parameter.name) for v in top]
    positions = [
        _position(parameter, value)
        for value in values
        if isinstance(value, int | float)
    ]
    best, middle = positions[0], float(np.median(positions))
    edge = max(EDGE, 0.5 / (parameter.n_values - 1))
    if best <= edge and middle <= 0.25 and not _is_natural_end(parameter):
        return "low"
    return "high" if best >= 1 - edge and middle >= 0.75 else ""


def _is_natural_end(parameter: ParameterView) -> bool:
    """Whether no lower value exists: a dropout of 0, one layer."""
    is_one_piece = parameter.step is not None and parameter.low == 1
    return parameter.low == 0 or is_one_piece


def _position(parameter: ParameterView, value: float) -> float:
    """Return the position of a value in its range, 0 … 1, on its sampling scale."""
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    if parameter.is_log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _further(parameter: ParameterView, side: str) -> float:
    """Return a bound extended by a third of the range."""
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    if parameter.is_log:
        factor = (high / low) ** (1 / 3)
        further = low / factor if side == "low" else high * factor
        return float(f"{further:.1g}")
    width = (high - low) / 3
    further = low - width if side == "low" else high + width
    whole = isinstance(low, int) and isinstance(high, int)
    return round(further) if whole else further
