"""The content of the report page by section, as plain values for the template."""

from typing import Any

from ktune import __version__
from ktune.diagnosis import NotApplicable, SearchDiagnosis, Verdict
from ktune.diagnosis.kt010_miscalibrated import (
    calibration_error,
    chance_calibration_error,
)
from ktune.diagnosis.out_of_fold import read_out_of_fold, reliability
from ktune.metrics.intervals import interval_method
from ktune.report.figures.calibration import calibration_figure
from ktune.report.figures.confusion import confusion_figure
from ktune.report.figures.gap_map import gap_map
from ktune.report.figures.history import history
from ktune.report.figures.importance_bars import importance_bars
from ktune.report.figures.learning_curves import learning_curves
from ktune.report.figures.parallel_coordinates import parallel_coordinates
from ktune.report.figures.pareto import pareto
from ktune.report.figures.slices import slices
from ktune.report.figures.time_spent import seconds_text, time_spent
from ktune.report.tables import (
    ReportTable,
    classes_table,
    final_table,
    folds_table,
    number_text,
    test_table,
    trials_table,
)
from ktune.report.view import SearchReport
from ktune.trial import TrialState
from ktune.utils.text import count_of

N_CURVES = 4
N_TRIALS = 10

_SENTENCES = {
    Verdict.GOOD: "The best trial is good: the gap between training and validation is "
    "small, and no rule finds a sign of underfitting.",
    Verdict.OVERFIT: "The best trial overfits: it fits its training rows much better "
    "than new rows.",
    Verdict.UNDERFIT: "The best trial underfits: a better fit of the training rows is "
    "possible.",
    Verdict.UNSTABLE: "The best trial is unstable: its score depends on chance.",
    Verdict.FAILED: "No trial was completed.",
}


def page_of(report: SearchReport) -> dict[str, Any]:
    """Return the content of the report template."""
    return {
        "title": f"{report.name}: ktune report",
        "name": report.name,
        "subtitle": _subtitle(report),
        "version": report.versions.get("ktune", __version__),
        "verdict": report.diagnosis.verdict.value,
        "sentence": _sentence(report),
        "numbers": five_numbers(report),
        **_findings(report),
        **_trial_sections(report),
        **_best_sections(report),
        **_search_sections(report),
        **_reproduction(report),
    }


def five_numbers(report: SearchReport) -> list[dict[str, str]]:
    """Return the key figures: score, gap, test score, optimism, number of trials."""
    return [
        _score_number(report),
        _gap_number(report),
        _test_number(report),
        _optimism_number(report),
        _effort_number(report),
    ]


def _number(label: str, value: str, note: str) -> dict[str, str]:
    return {"label": label, "value": value, "note": note}


def _score_number(report: SearchReport) -> dict[str, str]:
    best = report.best
    label = f"{report.metric}, cross-validated"
    if best is None:
        return _number(label, "–", "no complete trial")
    scores = best.scores(report.metric, "validation")
    spread = ""
    if len(scores) > 1:
        spread = f"± {number_text(float(scores.std(ddof=1)))} over {len(scores)} folds"
    return _number(label, number_text(best.result.score), spread or "one hold-out")


def _gap_number(report: SearchReport) -> dict[str, str]:
    best = report.best
    if best is None:
        return _number("train–validation gap", "–", "")
    train = best.result.mean(report.metric, "train")
    sign = 1.0 if report.context.objective.direction == "max" else -1.0
    gap = sign * (train - best.result.mean(report.metric))
    return _number(
        "train–validation gap", f"{gap:+.4f}", f"training {number_text(train)}"
    )


def _test_number(report: SearchReport) -> dict[str, str]:
    estimate = report.search.test.get(report.metric)
    if estimate is None:
        reason = "no untouched test set" if report.n_test_rows == 0 else "not measured"
        return _number(f"{report.metric}, test", "–", reason)
    interval = "no interval for this metric"
    if estimate.low is not None and estimate.high is not None:
        low, high = number_text(estimate.low), number_text(estimate.high)
        interval = f"95 %: {low} … {high}"
    return _number(f"{report.metric}, test", number_text(estimate.value), interval)


def _optimism_number(report: SearchReport) -> dict[str, str]:
    estimate, best = report.search.test.get(report.metric), report.best
    if estimate is None or best is None or best.result.score is None:
        return _number("selection optimism", "–", "needs a test set")
    sign = 1.0 if report.context.objective.direction == "max" else -1.0
    optimism = sign * (best.result.score - estimate.value)
    note = "cross-validation minus test"
    if estimate.low is not None and estimate.high is not None:
        is_inside = estimate.low <= best.result.score <= estimate.high
        note = "within the test interval" if is_inside else "beyond the test interval"
    return _number("selection optimism", f"{optimism:+.4f}", note)


def _effort_number(report: SearchReport) -> dict[str, str]:
    complete = report.count(TrialState.COMPLETE)
    others = [
        f"{n} {state.value}"
        for state in (TrialState.PRUNED, TrialState.FAILED)
        if (n := report.count(state))
    ]
    spent = report.seconds or sum(v.result.seconds for v in report.search.trials)
    note = ", ".join([*others, seconds_text(spent)])
    return _number("complete trials", str(complete), note)


def _row_weights(report: SearchReport) -> list[str]:
    weights = report.settings.get("row_weights", "")
    return [f"rows have weights {weights}, which count in scores"] if weights else []


def _subtitle(report: SearchReport) -> str:
    parts = [
        f"search {report.run_id[:8]}",
        f"{report.started:%Y-%m-%d %H:%M}",
        f"data {report.data_name}: {report.n_rows} rows"
        + (f" + {report.n_test_rows} test rows" if report.n_test_rows else ""),
        *_row_weights(report),
        f"ended: {report.ended_because}",
    ]
    return " · ".join(parts)


def _sentence(report: SearchReport) -> str:
    sentence = _SENTENCES[report.diagnosis.verdict]
    reason = report.best_diagnosis.reason if report.best_diagnosis else ""
    return f"{sentence} {reason}".strip()


def _findings(report: SearchReport) -> dict[str, Any]:
    best = report.best_diagnosis
    not_applicable = dict(best.not_applicable) if best else {}
    not_applicable |= report.diagnosis.not_applicable
    return {
        "best_number": report.diagnosis.best,
        "findings": best.findings if best else (),
        "search_findings": report.diagnosis.findings,
        "not_applicable": sorted(not_applicable.items()),
    }


def _trial_sections(report: SearchReport) -> dict[str, Any]:
    scored = report.ranked
    unscored = [v for v in report.search.trials if v.result.score is None]
    ordered = [*scored, *unscored]
    return {
        "curves": [
            {
                "number": view.number,
                "verdict": report.diagnosis.trials[view.number].verdict.value,
                "score": f"{report.metric} {number_text(view.result.score)}",
                "figure": figure,
            }
            for view in scored[:N_CURVES]
            if (figure := learning_curves(view)) is not None
        ],
        "gap_map": gap_map(report),
        "pareto": pareto(report),
        "counts": counts_text(report.diagnosis),
        "trials": trials_table(report, ordered[:N_TRIALS]),
        "more_trials": trials_table(report, ordered[N_TRIALS:]),
    }


def _best_sections(report: SearchReport) -> dict[str, Any]:
    best = report.best
    test = test_table(report) if report.search.test else None
    sections: dict[str, Any] = {
        "folds": folds_table(best) if best else None,
        "test": test,
        "test_sentence": _test_sentence(report) if test else "",
        "final_sentence": _final_sentence(report),
        "final_test": final_table(report),
        "no_test": "" if report.n_test_rows else _NO_TEST,
        "confusion": None,
        "classes": ReportTable([], []),
        "calibration": None,
        "calibration_sentence": "",
    }
    if best is None:
        return sections
    if best.result.confusion:
        sections["confusion"] = confusion_figure(best)
        sections["classes"] = classes_table(best)
    try:
        bins = reliability(
            read_out_of_fold(best.result.out_of_fold), report.context.task
        )
    except NotApplicable:
        return sections
    sections["calibration"] = calibration_figure(best)
    sections["calibration_sentence"] = (
        f"The expected calibration error is {calibration_error(bins):.3f}; chance "
        f"alone explains {chance_calibration_error(bins):.3f}."
    )
    return sections


_NO_TEST = (
    "There is no untouched test set (test_size=0): the model was selected by its "
    "cross-validated score, so expect a slightly lower score on new data."
)


def _test_sentence(report: SearchReport) -> str:
    epochs = ""
    if report.best is not None and report.best.result.best_epoch is not None:
        epochs = f" for {count_of(report.best.result.best_epoch + 1, 'epoch')}"
    return (
        f"Trial {report.diagnosis.best} was refitted on all {report.n_rows} rows"
        f"{epochs} and evaluated once on {report.n_test_rows} untouched test rows. "
        f"Intervals are by the {interval_method(report.context.task)} over test rows."
    )


def _final_sentence(report: SearchReport) -> str:
    """Return the final model, and the reason for it; "" without record."""
    final = report.final
    if final is None:
        return ""
    if not final.is_average:
        return f"The final model is this trial alone: {final.reason}."
    return (
        f"The final model is an average ({final.formula}): {final.reason}. It was "
        "evaluated once on the same test rows."
    )


def _search_sections(report: SearchReport) -> dict[str, Any]:
    return {
        "importances": importance_bars(report),
        "parallel": parallel_coordinates(report),
        "slices": slices(report),
        "history": history(report),
        "time": time_spent(report),
    }


def _reproduction(report: SearchReport) -> dict[str, Any]:
    best = report.diagnosis.best
    run_id = "" if best is None else report.run_ids.get(best, "")
    commands = [report.command] if report.command else []
    if run_id:
        commands.append(f"ktune reproduce {run_id[:8]}    # the best trial")
    if report.model:
        commands.append(f"ktune predict {report.model} DATA")
    facts = [
        ("search", report.run_id),
        ("best trial", run_id),
        ("model", report.model),
        ("data", f"{report.data_name}, digest {report.data_digest}"),
        ("git commit", report.git_commit or "not in git"),
        ("machine", report.machine),
    ]
    settings = [*report.settings.items(), *report.versions.items()]
    return {
        "commands": "\n".join(commands),
        "facts": [(name, value) for name, value in facts if value],
        "settings": settings,
    }


def counts_text(diagnosis: SearchDiagnosis) -> str:
    """Return the number of trials with each verdict."""
    counts = diagnosis.counts
    return ", ".join(f"{n} {verdict.value}" for verdict, n in counts.items())
