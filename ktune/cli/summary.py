"""The end of a search in the terminal: what happened, and what to do next."""

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ktune.cli.final_table import estimate_text, print_final
from ktune.metrics.intervals import Estimate
from ktune.metrics.scores import Objective
from ktune.models.ensembles.ensemble import (
    ENSEMBLE_FILE,
    Ensemble,
    has_ensemble,
    read_ensemble,
)
from ktune.models.ensembles.selection import NestedEstimate
from ktune.tracking import names
from ktune.tracking.artifacts import parsing, read_file, read_findings
from ktune.tracking.model_registry import SINGLE_BEST
from ktune.tracking.reader import (
    RunView,
    objective_value,
    read_trial,
    read_values,
    shown_status,
    tied_trials,
)
from ktune.tracking.records import short, values_text
from ktune.tracking.store import Store
from ktune.trial import Trial, TrialResult
from ktune.tuner.result import SearchResult
from ktune.utils.terminal import make_console
from ktune.utils.text import count_of, shortened

SHOWN_TRIALS = 5
MAX_REASON = 500
"""Characters of a failure; the record of the trial has all of them."""
_BASELINES = {
    "constant": "constant guess",
    "linear": "linear model",
    "trees": "small forest",
}
_LEADING = ("accuracy", "f1", "f1_macro", "recall", "recall_macro", "rmse", "r2")


def print_search(result: SearchResult, stream: TextIO) -> None:
    """Print the best trials, the test scores, the model and the next commands."""
    console = make_console(stream)
    console.print(Text(_headline(result), style="bold"))
    _print_failures(result, console)
    if not result.trial_runs or result.trial_runs[0].state != "complete":
        console.print(_next_without_model(result), markup=False)
        return
    console.print(trials_table(result.trial_runs[:SHOWN_TRIALS], result))
    best = result.trial_runs[0]
    _print_pick(result, console)
    values = values_text(read_values(result.store, best))
    console.print(f"Best values (trial {best.number}): {values}")
    _print_gain(result, console)
    print_final(result, console)
    _print_verdict(result, console)
    ensemble = ensemble_of(result)
    if ensemble is not None:
        print_ensemble(ensemble, console)
    _print_next(result, console)


def search_as_dict(result: SearchResult) -> dict[str, Any]:
    """Return the result of a search as plain values, for ``--json``."""
    registration = result.registration
    outcome = result.outcome
    return {
        "name": result.name,
        "run_id": result.run_id,
        "status": shown_status(result.store, result.view),
        "objective": result.objective.metric,
        "direction": result.objective.direction,
        "objectives": [o.metric for o in result.goal.objectives],
        "pick": result.goal.pick,
        "ended_because": outcome.reason if outcome else None,
        "trials": result.trials.to_dict("records"),
        "best": _best_as_dict(result),
        "test": _scores_as_dict(result.test),
        "final": _final_as_dict(result),
        "refit": {"trial": result.refit.trial, "problem": result.refit.problem},
        "ensemble": None if (made := ensemble_of(result)) is None else made.as_dict(),
        "model": None
        if registration is None
        else {
            "name": registration.name,
            "version": registration.version,
            "alias": registration.alias,
        },
    }


def _scores_as_dict(scores: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        name: {"value": e.value, "low": e.low, "high": e.high}
        for name, e in scores.items()
    }


def _final_as_dict(result: SearchResult) -> dict[str, Any] | None:
    """Return the final model, with the test scores of the best trial beside it."""
    if result.final is None:
        return None
    single_test = _scores_as_dict(result.refit.trial_test)
    return {**result.final.as_dict(), "single_test": single_test}


def trials_table(
    runs: list[RunView], result: SearchResult, *, with_values: bool = False
) -> Table:
    """Return trials side by side: scores with spread, train score, values."""
    objective, goal = result.objective, result.goal
    # The table has to fit into 80 columns: no other metrics beside objectives.
    metrics = [objective.metric]
    if goal.is_single:
        metrics += _other_metrics(runs, objective.metric)
    further = goal.objectives[1:]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if not goal.is_single:
        table.add_column("front", justify="center", no_wrap=True)
    for name in (*metrics, *(o.metric for o in further), "train", "epochs", "time"):
        # "recall_macro" as "recall", for the same reason.
        shown = name.removesuffix("_macro").removeprefix("n_")
        table.add_column(shown, justify="right", no_wrap=True)
    if with_values:
        table.add_column("values", overflow="fold")
    for run in runs:
        values = [values_text(read_values(result.store, run))] if with_values else []
        front = [] if goal.is_single else ["*" if run.is_on_front else ""]
        table.add_row(
            str(run.number),
            _verdict_text(run),
            *front,
            _score_text(run, objective.metric),
            *(_number_text(run.metrics.get(f"val_{m}")) for m in metrics[1:]),
            *(_objective_text(run, o) for o in further),
            _number_text(run.metrics.get(f"train_{objective.metric}")),
            short(int(run.metrics.get("epochs", 0))),
            _seconds_text(run.metrics.get("fit_seconds", 0.0)),
            *values,
        )
    return table


def ensemble_of(result: SearchResult) -> Ensemble | None:
    """Return the latest ensemble of a search, or None."""
    if not has_ensemble(result.view):
        return None
    content = read_file(result.store, result.run_id, ENSEMBLE_FILE)
    with parsing(ENSEMBLE_FILE, result.run_id):
        return read_ensemble(content)


def print_ensemble(ensemble: Ensemble, console: Console) -> None:
    """Print an ensemble and the best single model."""
    title = f"Ensemble ({ensemble.method}): {ensemble.formula}"
    console.print(Text(title, style="bold"))
    if ensemble.method == "greedy" and len(ensemble.parts) == 1:
        console.print("No mean with other trials is better than this one alone.")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(ensemble.metric)
    table.add_column("folds that did not choose", justify="right")
    table.add_column("test", justify="right")
    tested = ensemble.test.get(ensemble.metric)
    table.add_row(
        "ensemble",
        _nested_text(ensemble.estimate),
        estimate_text(tested) if tested else "-",
    )
    table.add_row("best single model", _nested_text(ensemble.single), "")
    console.print(table)
    if ensemble.versus_single:
        console.print(
            f"Against trial {ensemble.single_trial}: {ensemble.versus_single}."
        )
    console.print(
        f"Registered: model {ensemble.model!r} version {ensemble.version} as "
        f"{ensemble.model}@{ensemble.alias} ({ensemble.gate})",
        markup=False,
        soft_wrap=True,
    )


def _nested_text(estimate: NestedEstimate | None) -> str:
    return "-" if estimate is None else f"{estimate.mean:.4f} ±{estimate.deviation:.4f}"


def _headline(result: SearchResult) -> str:
    counts: dict[str, int] = {}
    for run in result.trial_runs:
        counts[run.state] = counts.get(run.state, 0) + 1
    states = ", ".join(f"{n} {state}" for state, n in counts.items()) or "none"
    is_interrupted = shown_status(result.store, result.view) == "INTERRUPTED"
    end = " (interrupted)" if is_interrupted else ""
    end = f" ({result.outcome.reason})" if result.outcome else end
    seconds = result.view.seconds
    duration = "" if seconds is None else f", {seconds / 60:.1f} min"
    return (
        f"{result.name}: {count_of(len(result.trial_runs), 'trial')}, {states}{end}"
        f"{duration}"
    )


def _print_failures(result: SearchResult, console: Console) -> None:
    """Print each distinct failure once, with its count."""
    counts: dict[str, int] = {}
    for run in result.trial_runs:
        reason = run.tags.get(names.FAILURE)
        if reason:
            counts[reason] = counts.get(reason, 0) + 1
    for reason, count in counts.items():
        of_all = count_of(len(result.trial_runs), "trial")
        text = f"{count} of {of_all} failed: {shortened(reason, MAX_REASON)}"
        console.print(Text(text, style="red"))


def _print_pick(result: SearchResult, console: Console) -> None:
    """Print the rule that picked one of tied trials, or of the Pareto front."""
    if result.goal.is_single:
        _print_ties(result, console)
        return
    members = sum(run.is_on_front for run in result.trial_runs)
    console.print(
        f"{members} trials (*) are on the Pareto front: no other one beats them in "
        f"{' and '.join(o.metric for o in result.goal.objectives)}. Taken by the rule "
        f"{result.goal.pick!r}: trial {result.trial_runs[0].number}. Other rules: "
        "--pick.",
        markup=False,
    )


def _print_ties(result: SearchResult, console: Console) -> None:
    """Print the number of trials within noise of the best score, if there are some."""
    ties = len(tied_trials(result.trial_runs, result.goal))
    if ties < 2:
        return
    console.print(
        f"{ties} trials are within noise of the best {result.objective.metric} (one "
        "standard error over the folds); of these, trial "
        f"{result.trial_runs[0].number} has the least {result.goal.tie_breaker}.",
        markup=False,
    )


def _print_gain(result: SearchResult, console: Console) -> None:
    """Print the best score beside those of default values and simple models."""
    metric = result.objective.metric
    best = result.trial_runs[0]
    default = next((run for run in result.trial_runs if run.number == 0), None)
    scores = [f"best {_score_text(best, metric)}"]
    if default is not None and f"val_{metric}" in default.metrics:
        scores.append(f"default values (trial 0) {_score_text(default, metric)}")
    scores += [
        f"{text} {result.view.metrics[key]:.4f}"
        for kind, text in _BASELINES.items()
        if (key := f"baseline_{kind}_{metric}") in result.view.metrics
    ]
    console.print(f"{metric}: {', '.join(scores)}.", markup=False)


def _print_verdict(result: SearchResult, console: Console) -> None:
    """Print the best trial's verdict and all findings with their remedies."""
    best = result.trial_runs[0]
    verdict = best.tags.get(names.VERDICT)
    if verdict is None:
        return
    console.print(Text(f"Verdict on trial {best.number}: {verdict}", style="bold"))
    print_findings(read_findings(result.store, best), console)
    if not result.refit.problem:  # else they may be about another best trial
        print_findings(read_findings(result.store, result.view), console)


def print_findings(findings: Sequence[Mapping[str, str]], console: Console) -> None:
    """Print findings with their remedies, wrapped below each other."""
    for found in findings:
        text = f"{found['title']}: {found['message']} {found['remedy']}"
        console.print(Padding(Text(f"{found['code']} {text}"), (0, 0, 0, 2)))


def _print_next(result: SearchResult, console: Console) -> None:
    registration = result.registration
    lines = []
    if registration is not None:
        name, alias = registration.name, registration.alias
        # Another version may have the alias by now.
        plain = f", available as {name}/{registration.version}"
        alias = f" as {name}@{alias}" if alias else plain
        lines.append(
            f"Registered: model {registration.name!r} version "
            f"{registration.version}{alias}"
        )
        if result.refit.has_average:
            lines.append(f"The best trial alone: {name}@{SINGLE_BEST}")
    elif result.view.is_smoke_test:
        lines.append(
            "Not registered: a smoke test (with --register it is, without an alias)"
        )
    gate = result.view.tags.get(names.GATE) if result.refit.is_of_best else None
    if gate and not gate.endswith("first version of this model"):
        lines.append(f"Gate: {gate}")
    short_id = result.run_id[:8]
    nexts = {
        f"ktune show {short_id}": "this search: values, folds, curves",
        f"ktune runs {short_id}": "all its trials",
        f"ktune report {short_id}": "over- and underfitting, as a page",
        "ktune ui": "browse it in MLflow",
    }
    if registration is not None:
        about = "the model over HTTP; also: predict, export"
        nexts[f"ktune serve {registration.name}"] = about
    width = max(map(len, nexts))
    lines += ["Next:", *(f"  {verb:<{width}}  {text}" for verb, text in nexts.items())]
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def _next_without_model(result: SearchResult) -> str:
    return (
        "No trial is complete, so there is no model to register. "
        f"Look at the trials: ktune runs {result.run_id[:8]}"
    )


def _best_as_dict(result: SearchResult) -> dict[str, Any] | None:
    if not result.trial_runs or result.trial_runs[0].state != "complete":
        return None
    run = result.trial_runs[0]
    return {
        "trial": run.number,
        "run_id": run.run_id,
        "score": run.metrics.get(f"val_{result.objective.metric}"),
        "values": read_values(result.store, run),
    }


def _other_metrics(runs: list[RunView], objective: str) -> list[str]:
    present = {name for run in runs for name in run.metrics}
    others = [m for m in _LEADING if f"val_{m}" in present and m != objective]
    return others[:2]


def _objective_text(run: RunView, objective: Objective) -> str:
    value = objective_value(run, objective)
    return f"{value:,.0f}" if value and value >= 100 else _number_text(value)


def _score_text(run: RunView, metric: str) -> str:
    value = run.metrics.get(f"val_{metric}")
    deviation = run.metrics.get(f"val_{metric}_std")
    text = _number_text(value)
    return text if deviation is None else f"{text} ±{deviation:.4f}"


def _number_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _seconds_text(seconds: float) -> str:
    """Return a time as short text, so that the table fits into 80 columns.

    Example:
        >>> _seconds_text(3.21), _seconds_text(26.34)
        ('3.2s', '26s')
    """
    return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s"


def _verdict_text(run: RunView) -> str:
    """The verdict; of a trial that did not run to its end, that."""
    verdict = run.tags.get(names.VERDICT, run.state)
    return verdict if run.state == "complete" else run.state


def print_trial(
    store: Store, view: RunView, objective: Objective, stream: TextIO
) -> None:
    """Print one trial: values, scores of every fold, verdict or failure."""
    trial, result = read_trial(store, view)
    console = make_console(stream)
    title = f"{view.experiment}, trial {trial.number}: {result.state.value}"
    console.print(Text(f"{title} ({view.run_id[:8]})", style="bold"))
    console.print(_facts_table(trial, result))
    if result.failure is not None:
        failure = result.failure
        console.print(Text(f"{failure.kind}: {failure.message}", style="red"))
        console.print(failure.traceback, markup=False)
    if result.folds:
        console.print(fold_table(result, objective))
    verdict = view.tags.get(names.VERDICT)
    if verdict:
        console.print(Text(f"Verdict: {verdict}", style="bold"))
        print_findings(read_findings(store, view), console)


def fold_table(result: TrialResult, objective: Objective) -> Table:
    """Return all metrics at the best epoch: each fold, their mean, the train mean."""
    names = result.folds[0].validation
    metrics = [objective.metric, *(m for m in names if m != objective.metric)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for fold in result.folds:
        table.add_column(f"fold {fold.index}", justify="right")
    table.add_column("mean", justify="right", style="bold")
    table.add_column("train", justify="right")
    for metric in metrics:
        table.add_row(
            metric,
            *(_number_text(fold.validation[metric]) for fold in result.folds),
            _number_text(result.mean(metric)),
            _number_text(result.mean(metric, "train")),
        )
    table.add_section()
    rows = (str(fold.n_validation) for fold in result.folds)
    table.add_row("rows", *rows, "", str(result.folds[0].n_train), style="dim")
    return table


def _facts_table(trial: Trial, result: TrialResult) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
    for name, value in trial.values.items():
        table.add_row(name, short(value))
    table.add_section()
    if result.best_epoch is not None:
        table.add_row("best epoch", f"{result.best_epoch + 1} of {result.epochs}")
    if result.batch_size is not None:
        table.add_row("batch size", f"{result.batch_size} (half: memory ran out)")
    if result.n_parameters is not None:
        table.add_row("parameters", f"{result.n_parameters:,}")
    table.add_row("seconds", f"{result.seconds:.1f} ({result.trainer})")
    return table
