"""A comparison as one HTML file, and its tables for the page and the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktune import __version__
from ktune.report.comparison.figures import comparison_figures, on_front
from ktune.report.comparison.view import Comparison, Contender
from ktune.report.figures.figure import Figure
from ktune.report.page import render_page
from ktune.report.tables import Column, ReportTable, Row, number_text, value_text

MOST_METRICS = 6


def render_comparison(comparison: Comparison) -> str:
    """Return the page of a comparison as self-contained HTML."""
    figures = comparison_figures(comparison)
    drawn = [
        figure
        for part in figures.values()
        for figure in (part if isinstance(part, list) else [part])
        if isinstance(figure, Figure)
    ]
    page = {
        "title": "ktune comparison",
        "version": __version__,
        "objective": comparison.objective.metric,
        "direction": (
            "higher is better"
            if comparison.objective.direction == "max"
            else "lower is better"
        ),
        "contenders": [_card(c) for c in comparison.contenders],
        "warnings": list(comparison.warnings),
        "duels": duels_table(comparison),
        "conclusions": [
            {"text": d.conclusion, "note": d.note, "other": d.other}
            for d in comparison.duels
        ],
        "scores": scores_table(comparison),
        "values": values_table(comparison),
        "sizes": sizes_table(comparison),
        **figures,
    }
    return render_page("comparison.html.j2", page, drawn)


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write the page of a comparison; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_comparison(comparison), encoding="utf-8")
    return path


def duels_table(comparison: Comparison) -> ReportTable:
    """Return each difference from the first contender with interval and p-value."""
    columns = [
        Column("against the first"),
        Column(f"difference in {comparison.objective.metric}", is_number=True),
        Column("95 % interval", is_number=True),
        Column("p (Holm)", is_number=True),
        Column("test"),
    ]
    rows = []
    for duel in comparison.duels:
        difference = duel.difference
        if difference is None:
            rows.append(Row([duel.other, "–", "–", "–", "not compared"]))
            continue
        rows.append(
            Row(
                [
                    duel.other,
                    f"{difference.mean:+.4f}",
                    f"{difference.low:+.4f} … {difference.high:+.4f}",
                    _p_text(duel.p_adjusted),
                    f"{'paired' if difference.is_paired else 'unpaired'}, "
                    f"{difference.n_folds} folds",
                ]
            )
        )
    return ReportTable(columns, rows)


def _p_text(p_value: float | None) -> str:
    if p_value is None:
        return "–"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def scores_table(comparison: Comparison) -> ReportTable:
    """Return a table of verdicts, scores with spread, gaps and test scores."""
    metrics = comparison.metrics[:MOST_METRICS]
    goal = comparison.objective.metric
    columns = [
        Column("trial"),
        Column("verdict", is_verdict=True),
        Column(goal, is_number=True),
        Column("training", is_number=True),
        Column("gap", is_number=True),
        Column("test", is_number=True),
        *(Column(metric, is_number=True) for metric in metrics[1:]),
    ]
    best = _best(comparison)
    rows = [
        Row(_score_cells(c, comparison, metrics), is_marked=c is best)
        for c in comparison.contenders
    ]
    return ReportTable(columns, rows)


def values_table(comparison: Comparison) -> ReportTable:
    """Return a table of the hyperparameters in which the contenders differ."""
    columns = [Column("parameter"), *(Column(c.label) for c in comparison.contenders)]
    rows = [
        Row([name, *("–" if v is None else value_text(v) for v in values)])
        for name, values in comparison.differing_values().items()
    ]
    return ReportTable(columns, rows)


def sizes_table(comparison: Comparison) -> ReportTable:
    """Return a table of size, epochs, training time and latency."""
    columns = [
        Column("trial"),
        Column("parameters", is_number=True),
        Column("epochs", is_number=True),
        Column("seconds", is_number=True),
        Column("latency, ms", is_number=True),
        Column("Pareto front"),
    ]
    front = on_front(comparison)
    rows = []
    for contender in comparison.contenders:
        result = contender.view.result
        rows.append(
            Row(
                [
                    contender.label,
                    f"{result.n_parameters:,}" if result.n_parameters else "–",
                    f"{(result.best_epoch or 0) + 1} / {result.epochs}",
                    f"{result.seconds:.1f}",
                    number_text(contender.latency_ms, 2),
                    "yes" if contender.label in front else "",
                ]
            )
        )
    return ReportTable(columns, rows)


def _card(contender: Contender) -> dict[str, Any]:
    return {
        "label": contender.label,
        "run_id": contender.run_id,
        "verdict": contender.diagnosis.verdict.value,
        "reason": contender.diagnosis.reason,
    }


def _best(comparison: Comparison) -> Contender:
    sign = 1.0 if comparison.objective.direction == "max" else -1.0
    metric = comparison.objective.metric
    return max(comparison.contenders, key=lambda c: sign * c.view.result.mean(metric))


def _score_cells(
    contender: Contender, comparison: Comparison, metrics: Sequence[str]
) -> list[str]:
    goal = comparison.objective.metric
    sign = 1.0 if comparison.objective.direction == "max" else -1.0
    train = contender.view.result.mean(goal, "train")
    gap = sign * (train - contender.view.result.mean(goal))
    return [
        contender.label,
        contender.diagnosis.verdict.value,
        _with_spread(contender, goal),
        number_text(train),
        f"{gap:+.4f}",
        _test_text(contender, goal),
        *(_with_spread(contender, metric) for metric in metrics[1:]),
    ]


def _with_spread(contender: Contender, metric: str) -> str:
    scores = contender.view.scores(metric, "validation")
    mean = number_text(float(scores.mean()))
    if len(scores) < 2:
        return mean
    return f"{mean} ±{number_text(float(np.std(scores, ddof=1)))}"


def _test_text(contender: Contender, metric: str) -> str:
    test = contender.test.get(metric)
    if test is None:
        return "–"
    interval = ""
    if test.low is not None and test.high is not None:
        interval = f" [{number_text(test.low)}, {number_text(test.high)}]"
    return number_text(test.value) + interval
