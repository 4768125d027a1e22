"""The time of a search: trials, refit and overhead."""

from typing import Any

from ktune.report.figures.figure import Figure, axis, numbers
from ktune.report.view import SearchReport
from ktune.trial import TrialState


def time_spent(report: SearchReport) -> Figure | None:
    """Draw the wall time of a search as one bar of its parts."""
    parts = [(label, s, colour) for label, s, colour in time_parts(report) if s > 0]
    if not parts:
        return None
    bars: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": f"{label} ({seconds_text(seconds)})",
            "x": numbers([seconds]),
            "y": [""],
            "marker": {"color": colour},
            "hovertemplate": f"{label}: {seconds_text(seconds)}<extra></extra>",
        }
        for label, seconds, colour in parts
    ]
    return Figure(
        key="time",
        data=bars,
        layout={
            "barmode": "stack",
            "xaxis": axis("seconds"),
            "yaxis": {"visible": False},
            "legend": {"traceorder": "normal"},
        },
        height=210,
        caption="Overhead is all time outside of trials and refit: loading, proposing, "
        "recording. With several workers trials overlap, so their sum may exceed the "
        "wall time.",
    )


def time_parts(report: SearchReport) -> list[tuple[str, float, str]]:
    """Return label, seconds and colour of each part."""

    def of(state: TrialState) -> float:
        views = report.search.trials
        return sum(v.result.seconds for v in views if v.result.state is state)

    trials = sum(of(state) for state in TrialState)
    whole = report.seconds or trials
    overhead = max(whole - trials - report.refit_seconds, 0.0)
    return [
        ("complete trials", of(TrialState.COMPLETE), "@good"),
        ("pruned trials", of(TrialState.PRUNED), "@underfit"),
        ("failed trials", of(TrialState.FAILED), "@failed"),
        ("refit and test", report.refit_seconds, "@unstable"),
        ("overhead", overhead, "@muted"),
    ]


def seconds_text(seconds: float) -> str:
    """Return a duration as text.

    Example:
        >>> seconds_text(3.21), seconds_text(75), seconds_text(7300)
        ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
