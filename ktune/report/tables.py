"""Tables of the report as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis import TrialView
from ktune.diagnosis.class_counts import recall_by_class
from ktune.report.figures.figure import VERDICT_COLOURS
from ktune.report.view import SearchReport
from ktune.trial import Value


@dataclass(frozen=True)
class Column:
    """Title and format of a column."""

    title: str
    is_number: bool = False
    is_verdict: bool = False
    is_wide: bool = False


@dataclass(frozen=True)
class Row:
    """Cells as text; a marked row is highlighted."""

    cells: Sequence[str]
    is_marked: bool = False


@dataclass(frozen=True)
class ReportTable:
    """A table of text."""

    columns: Sequence[Column]
    rows: Sequence[Row]


_LEADING = (
    "accuracy",
    "f1",
    "f1_macro",
    "recall",
    "recall_macro",
    "roc_auc",
    "rmse",
    "r2",
)


def number_text(value: float | None, digits: int = 4) -> str:
    """Return a score as text; "–" for none.

    Example:
        >>> number_text(0.98765), number_text(12345.6), number_text(None)
        ('0.9877', '1.235e+04', '–')
    """
    if value is None or not np.isfinite(value):
        return "–"
    is_plain = 0.001 <= abs(value) < 10_000 or value == 0
    return f"{value:.{digits}g}" if not is_plain else _rounded(value, digits)


def _rounded(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.{digits + 1}g}"


def value_text(value: Value) -> str:
    """Return the value of a hyperparameter as short text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def values_text(view: TrialView) -> str:
    """Return the values of a trial on one line."""
    return ", ".join(f"{n} = {value_text(v)}" for n, v in view.trial.values.items())


def trials_table(report: SearchReport, views: Sequence[TrialView]) -> ReportTable:
    """Return a table of trials with verdict, scores and values."""
    metric = report.metric
    columns = [
        Column("trial", is_number=True),
        Column("verdict", is_verdict=True),
        Column(f"{metric} (validation)", is_number=True),
        Column("± folds", is_number=True),
        Column("training", is_number=True),
        Column("epochs", is_number=True),
        Column("seconds", is_number=True),
        Column("values", is_wide=True),
    ]
    best = report.best
    rows = [
        Row(_trial_cells(report, view), best is not None and view.number == best.number)
        for view in views
    ]
    return ReportTable(columns, rows)


def folds_table(view: TrialView) -> ReportTable:
    """Return the scores of all folds at the best epoch, with mean and deviation."""
    folds = view.result.folds
    metrics = shown_metrics(view)
    columns = [Column("fold"), Column("rows", is_number=True)]
    for metric in metrics:
        columns += [Column(metric, is_number=True), Column("training", is_number=True)]
    rows = [
        Row(
            [
                str(fold.index),
                f"{fold.n_train} / {fold.n_validation}",
                *_both_sides([fold.validation], [fold.train], metrics),
            ]
        )
        for fold in folds
    ]
    sides = [f.validation for f in folds], [f.train for f in folds]
    rows.append(Row(["mean", "", *_both_sides(*sides, metrics)], is_marked=True))
    if len(folds) > 1:
        rows.append(Row(["±", "", *_both_sides(*sides, metrics, deviation=True)]))
    return ReportTable(columns, rows)


def classes_table(view: TrialView) -> ReportTable:
    """Return out-of-fold precision, recall and F1 of all classes."""
    counts = np.array(view.result.confusion, dtype=np.float64)
    hits, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    recall = recall_by_class(view)
    precision = hits / np.maximum(predicted, 1)
    f1 = 2 * hits / np.maximum(true + predicted, 1)
    names = view.context.class_names
    rows = [
        Row(
            [
                str(names[k]) if k < len(names) else str(k),
                f"{true[k]:.0f}",
                number_text(precision[k], 3),
                number_text(recall[k], 3),
                number_text(f1[k], 3),
            ]
        )
        for k in range(len(counts))
    ]
    titles = ("rows", "precision", "recall", "F1")
    return ReportTable(
        [Column("class"), *(Column(t, is_number=True) for t in titles)], rows
    )


def test_table(report: SearchReport) -> ReportTable:
    """Return test scores with intervals, and the cross-validated scores."""
    best = report.best
    columns = [
        Column("metric"),
        Column("test", is_number=True),
        Column("95 % interval", is_number=True),
        Column("cross-validation", is_number=True),
        Column("difference", is_number=True),
    ]
    rows = []
    for name, estimate in report.search.test.items():
        validation = None
        if best is not None and name in best.result.folds[0].validation:
            validation = best.result.mean(name)
        interval = "–"
        if estimate.low is not None and estimate.high is not None:
            interval = f"{number_text(estimate.low)} … {number_text(estimate.high)}"
        difference = None if validation is None else estimate.value - validation
        rows.append(
            Row(
                [
                    name,
                    number_text(estimate.value),
                    interval,
                    number_text(validation),
                    "–" if difference is None else f"{difference:+.4f}",
                ],
                is_marked=name == report.metric,
            )
        )
    return ReportTable(columns, rows)


def final_table(report: SearchReport) -> ReportTable | None:
    """Return the test scores of an average beside the best trial; None without one."""
    if report.final is None or not report.final.is_average:
        return None
    columns = [
        Column("metric"),
        Column("average, test", is_number=True),
        Column("95 % interval", is_number=True),
        Column("best trial alone", is_number=True),
    ]
    rows = []
    for name, estimate in report.final_test.items():
        alone = report.search.test.get(name)
        interval = "–"
        if estimate.low is not None and estimate.high is not None:
            interval = f"{number_text(estimate.low)} … {number_text(estimate.high)}"
        cells = [
            name,
            number_text(estimate.value),
            interval,
            number_text(None if alone is None else alone.value),
        ]
        rows.append(Row(cells, is_marked=name == report.metric))
    return ReportTable(columns, rows)


def shown_metrics(view: TrialView) -> list[str]:
    """Return the objective and the most common other metrics, at most four."""
    objective = view.context.objective.metric
    known = view.result.folds[0].validation
    leading = list(known) if view.context.task is Task.CUSTOM else _LEADING
    others = [m for m in leading if m in known and m not in (objective, "loss")]
    return [objective, *others[:2], *(["loss"] if objective != "loss" else [])]


def _trial_cells(report: SearchReport, view: TrialView) -> list[str]:
    result, metric = view.result, report.metric
    verdict = report.diagnosis.trials[view.number].verdict
    assert verdict in VERDICT_COLOURS
    scores = view.scores(metric, "validation") if result.folds else np.array([])
    epochs = str(result.epochs)
    if result.best_epoch is not None:
        epochs = f"{result.best_epoch + 1} / {result.epochs}"
    state = "" if result.is_complete else f"{result.state.value}: "
    return [
        str(view.number),
        verdict.value,
        number_text(result.score),
        number_text(float(scores.std(ddof=1))) if len(scores) > 1 else "–",
        number_text(result.mean(metric, "train")) if result.folds else "–",
        epochs,
        f"{result.seconds:.1f}",
        state + values_text(view),
    ]


def _both_sides(
    validation: Sequence[object],
    train: Sequence[object],
    metrics: Sequence[str],
    *,
    deviation: bool = False,
) -> list[str]:
    cells = []
    for metric in metrics:
        for side in (validation, train):
            scores = np.array([fold.get(metric, np.nan) for fold in side])  # type: ignore[attr-defined]
            value = scores.std(ddof=1) if deviation else scores.mean()
            cells.append(number_text(float(value)))
    return cells
