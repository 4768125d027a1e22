"""Read searches and trials from MLflow by the references of users."""

import contextlib
import json
import logging
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ktune.errors import StoreError, UnknownReference
from ktune.metrics.intervals import Estimate
from ktune.metrics.ranking import (
    Goal,
    Standing,
    rank,
    standard_error,
    tie_breakers,
    tied,
)
from ktune.metrics.scores import COSTS, N_PARAMETERS, Objective
from ktune.tracking import names
from ktune.tracking.artifacts import parsing, read_run_file
from ktune.tracking.local_runs import read_runs_below
from ktune.tracking.records import trial_from_json
from ktune.tracking.run_view import RunView, duration
from ktune.tracking.store import Store, all_pages, pages, quoted
from ktune.trial import Trial, TrialResult, TrialState
from ktune.utils.file_lock import is_driven
from ktune.utils.text import did_you_mean, listed, one_line

_log = logging.getLogger(__name__)

_HEX = set("0123456789abcdef")


def list_searches(store: Store, experiment: str | None = None) -> list[RunView]:
    """Return searches, newest first, of all experiments or of one.

    Args:
        store: The store to read.
        experiment: The recorded name of an experiment, or that of an MLflow experiment,
            which may have been renamed; None for all.
    """
    by_id = _experiments(store)
    runs = [
        _view(run, by_id)
        for ids, query in _queries(by_id, experiment)
        if ids
        for run in pages(store.client, ids, query)
    ]
    wanted = [
        run
        for run in _readable(store, runs)
        if experiment in (None, run.experiment, by_id[run.experiment_id])
    ]
    return sorted(wanted, key=lambda run: run.started, reverse=True)


def _queries(
    by_id: Mapping[str, str], experiment: str | None
) -> Iterator[tuple[list[str], str]]:
    """Yield ids of experiments and a query that together find searches of a name."""
    query = f"tags.`{names.KIND}` = '{names.SEARCH}'"
    text = None if experiment is None else quoted(experiment)
    if text is None:
        yield list(by_id), query
        return
    named = [i for i, name in by_id.items() if name == experiment]
    yield named, query
    renamed = f"{query} and tags.`{names.EXPERIMENT}` = {text}"
    yield [i for i in by_id if i not in named], renamed


def _readable(store: Store, runs: list[RunView]) -> list[RunView]:
    """Return the runs that can be read; name each of the others once."""
    for run in runs:
        if run.defect and run.run_id not in store.left_out:
            store.left_out.add(run.run_id)
            _log.warning(
                "run %s of %s is left out: %s",
                run.run_id[:8],
                one_line(repr(run.experiment)),
                one_line(run.defect),
            )
    return [run for run in runs if not run.defect]


def shown_status(store: Store, search: RunView) -> str:
    """Return the status of a search; INTERRUPTED if a kill has left it RUNNING."""
    if search.status != "RUNNING" or names.STORAGE in search.tags:
        return search.status
    study = study_file(store, search.run_id)
    # The study of a search on a server may be on another machine.
    is_here = store.location.database is not None or study.exists()
    return "INTERRUPTED" if is_here and not is_driven(study) else search.status


def list_trials(store: Store, search: RunView) -> list[RunView]:
    """Return the completely written trials of a search in order of their numbers.

    A crash leaves a run unfinished or interrupted; such runs do not count. Of two runs
    with the same number, the first counts.
    """
    runs = [run for run in _runs_below(store, search) if run.status != "RUNNING"]
    complete = [run for run in runs if run.state != names.INTERRUPTED]
    by_number: dict[int, RunView] = {}
    for run in sorted(complete, key=lambda run: (run.number, run.started, run.run_id)):
        by_number.setdefault(run.number, run)
    return list(by_number.values())


def list_unfinished(store: Store, search: RunView) -> list[RunView]:
    """Return the runs of trials that are not completely written."""
    return [run for run in _runs_below(store, search) if run.status == "RUNNING"]


def best_values(store: Store, search: RunView, count: int) -> list[dict[str, Any]]:
    """Return the exact values of the best complete trials of a search."""
    ranked = rank_trials(list_trials(store, search), search.goal)
    complete = [run for run in ranked if run.state == "complete"]
    return [read_values(store, run) for run in complete[:count]]


def _runs_below(store: Store, search: RunView) -> list[RunView]:
    """Return the runs of trials, read from the SQLite file if there is one."""
    if store.location.database is not None:
        # MLflow reads tables that differ from the expected ones.
        with contextlib.suppress(sqlite3.Error):
            runs = read_runs_below(store.location.database, search)
            trials = [run for run in runs if run.tags.get(names.KIND) == names.TRIAL]
            return _readable(store, trials)
    query = (
        f"tags.`{names.PARENT}` = '{search.run_id}' and "
        f"tags.`{names.KIND}` = '{names.TRIAL}'"
    )
    by_id = {search.experiment_id: search.experiment}
    found = [_view(run, by_id) for run in pages(store.client, [*by_id], query)]
    return _readable(store, found)


def rank_trials(trials: list[RunView], goal: Goal) -> list[RunView]:
    """Return trials best first: complete ones, then pruned ones, then failed ones."""
    by_number = {trial.number: trial for trial in trials}
    standings = [_standing(trial, goal) for trial in trials]
    return [by_number[number] for number in rank(standings, goal)]


def tied_trials(trials: Sequence[RunView], goal: Goal) -> list[RunView]:
    """Return the trials within noise of the best score; see `ktune.metrics.ranking`."""
    by_number = {trial.number: trial for trial in trials}
    standings = [_standing(trial, goal) for trial in trials]
    return [by_number[standing.number] for standing in tied(standings, goal)]


def objective_value(trial: RunView, objective: Objective) -> float | None:
    """Return the value of a trial for an objective, or None if it has no score."""
    is_cost = objective.metric in COSTS
    key = objective.metric if is_cost else f"val_{objective.metric}"
    return trial.metrics.get(key)


def _standing(trial: RunView, goal: Goal) -> Standing:
    scores = [objective_value(trial, objective) for objective in goal.objectives]
    known = tuple(score for score in scores if score is not None)
    folds = _fold_scores(trial, goal.first.metric)
    return Standing(
        number=trial.number,
        state=TrialState(trial.state),
        scores=known if len(known) == len(scores) else (),
        standard_error=standard_error(folds),
        folds=folds,
        tie_breakers=tie_breakers(
            trial.metrics.get(f"val_{goal.tie_breaker}"),
            trial.metrics.get(N_PARAMETERS),
        ),
    )


def _fold_scores(trial: RunView, metric: str) -> tuple[float, ...]:
    """Return a metric of every fold, in the order of the folds."""
    key = re.compile(rf"fold(\d+)_val_{re.escape(metric)}")
    found = {
        int(match[1]): value
        for name, value in trial.metrics.items()
        if (match := key.fullmatch(name))
    }
    return tuple(found[index] for index in sorted(found))


def test_estimates(search: RunView, prefix: str) -> dict[str, Estimate]:
    """Return test scores and their intervals from the metrics of a search.

    Args:
        search: The search.
        prefix: "test_"; "single_test_" for the best trial alone beside an average.
    """
    metrics = search.metrics
    metric_names = [
        key.removeprefix(prefix)
        for key in metrics
        if key.startswith(prefix) and not key.endswith(("_low", "_high"))
    ]
    return {
        name: Estimate(
            metrics[f"{prefix}{name}"],
            metrics.get(f"{prefix}{name}_low"),
            metrics.get(f"{prefix}{name}_high"),
        )
        for name in sorted(metric_names)
    }


def study_file(store: Store, run_id: str) -> Path:
    """Return the path of the study of a search, an Optuna journal."""
    return store.location.folder / names.STUDIES / f"{run_id}.log"


def find_search(store: Store, reference: str | None = None) -> RunView:
    """Return the search of a reference; the newest search for None.

    Args:
        store: The store to read.
        reference: As for `find_run`; a trial stands for its search.

    Raises:
        UnknownReference: No run matches, or several match the prefix.
    """
    run = find_run(store, reference) if reference else _newest(store)
    return run if run.is_search else find_run(store, run.tags[names.PARENT])


def find_run(store: Store, reference: str = "best") -> RunView:
    """Return the search or trial of a reference.

    Args:
        store: The store to read.
        reference: A run id or a unique prefix of one, ``best`` (best trial of the
            newest search), an experiment's name (its newest search), or
            ``NAME:best``.

    Raises:
        UnknownReference: No run matches, or several match the prefix.
    """
    known = list(_experiments(store).values())
    if reference in known:
        return _newest(store, reference)
    if reference == "best":
        return best_trial(store, _newest(store))
    name, _, wanted = reference.rpartition(":")
    if wanted == "best" and (name in known or list_searches(store, name)):
        return best_trial(store, _newest(store, name))
    if found := list_searches(store, reference):  # its MLflow experiment was renamed
        return found[0]
    if set(reference) <= _HEX:
        return _by_prefix(store, reference)
    raise UnknownReference(
        f"{reference!r} is neither a run id nor one of the experiments "
        f"{listed(known)}." + did_you_mean(reference, known)
    )


def best_trial(store: Store, search: RunView) -> RunView:
    """Return the best complete trial of a search.

    Raises:
        UnknownReference: No trial of it is complete.
    """
    ranked = rank_trials(list_trials(store, search), search.goal)
    if not ranked or ranked[0].state != "complete":
        raise UnknownReference(
            f"search {search.run_id[:8]} of {search.experiment!r} has no complete trial"
        )
    return ranked[0]


def read_trial(store: Store, run: RunView) -> tuple[Trial, TrialResult]:
    """Return a trial and its result, without predictions.

    Raises:
        StoreError: The artifact is missing or not readable.
    """
    content = read_run_file(store, run, names.TRIAL_FILE)
    with parsing(names.TRIAL_FILE, run.run_id):
        return trial_from_json(json.loads(content))


def read_values(store: Store, run: RunView) -> dict[str, Any]:
    """Return the values of a trial exactly as proposed.

    They stand in a tag of its run. Earlier versions wrote no such tag: their values are
    read from ``trial.json``, and are the text of the params where that file is gone.
    """
    text = run.tags.get(names.VALUES)
    if text is not None:
        return dict(json.loads(text))
    try:
        return dict(read_trial(store, run)[0].values)
    except StoreError:
        return dict(run.params)


def _newest(store: Store, experiment: str | None = None) -> RunView:
    found = list_searches(store, experiment)
    if not found:
        where = f"of {experiment!r} " if experiment else ""
        remedy = _restoring(store, experiment) or " yet. Run one: ktune search FILE"
        raise UnknownReference(
            f"there is no search {where}in {store.location.shown}{remedy}"
        )
    return found[0]


def _restoring(store: Store, experiment: str | None) -> str:
    """Return how to restore the newest deleted search; "" if none was deleted."""
    from mlflow.entities import ViewType

    for ids, query in _queries(_experiments(store), experiment):
        deleted = store.client.search_runs(
            ids,
            filter_string=query,
            run_view_type=ViewType.DELETED_ONLY,
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        if ids and deleted:
            command = f"mlflow runs restore --run-id {deleted[0].info.run_id}"
            return f": it was deleted in MLflow. Restore the newest one: {command}"
    return ""


def _by_prefix(store: Store, prefix: str) -> RunView:
    by_id = _experiments(store)
    query = f"attributes.run_id LIKE '{prefix}%'"
    runs = [_view(run, by_id) for run in pages(store.client, list(by_id), query)]
    runs = [run for run in runs if names.KIND in run.tags]
    if len(runs) == 1:
        return _require_readable(runs[0])
    problem = f"matches {len(runs)} runs; add characters" if runs else "matches no run"
    raise UnknownReference(
        f"run id {prefix!r} {problem}. `ktune runs` lists searches, "
        "`ktune runs SEARCH` the trials of one."
    )


def _require_readable(run: RunView) -> RunView:
    if run.defect:
        raise UnknownReference(
            f"run {run.run_id[:8]} cannot be read: {run.defect}. ktune needs the tags "
            "that it has written; set them again in MLflow"
        )
    return run


def _experiments(store: Store) -> dict[str, str]:
    """Return the names of the active experiments by id."""
    found = all_pages(
        lambda token: store.client.search_experiments(
            max_results=1000, page_token=token
        )
    )
    return {str(e.experiment_id): str(e.name) for e in found}


def _view(run: Any, experiment_names: Mapping[str, str]) -> RunView:
    start, end = run.info.start_time, run.info.end_time
    return RunView(
        run_id=run.info.run_id,
        experiment=run.data.tags.get(names.EXPERIMENT)
        or experiment_names[str(run.info.experiment_id)],
        experiment_id=str(run.info.experiment_id),
        name=run.info.run_name or "",
        status=run.info.status,
        started=datetime.fromtimestamp((start or 0) / 1000),
        seconds=duration(start, end),
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        artifact_uri=run.info.artifact_uri or "",
    )
