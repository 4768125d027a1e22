"""Read the report of a search from MLflow."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ktune.data.dataset import Task
from ktune.diagnosis import (
    Context,
    ParameterView,
    SearchView,
    TrialView,
    diagnose_search,
)
from ktune.diagnosis.references import References, references_from_dict
from ktune.errors import StoreError
from ktune.experiment.environment import KEY_PACKAGES
from ktune.metrics.scores import COSTS
from ktune.report.importances import measure_importances
from ktune.report.space import read_space, space_from_json
from ktune.report.view import SearchReport
from ktune.tracking import names
from ktune.tracking.artifacts import parsing, read_json, read_run_file
from ktune.tracking.reader import (
    RunView,
    list_trials,
    read_trial,
    shown_status,
    study_file,
)
from ktune.tracking.refit_record import refit_of
from ktune.tracking.store import Store
from ktune.trial import TrialResult, TrialState


def read_report(store: Store, search: RunView) -> SearchReport:
    """Return the report of a search.

    Raises:
        StoreError: A record of the search or of a trial is missing.
    """
    record = read_json(store, search, names.SEARCH_FILE)
    runs = list_trials(store, search)
    view = read_search_view(store, search, record=record, runs=runs)
    data, refit = record.get("data", {}), refit_of(search, runs)
    return SearchReport(
        name=search.experiment,
        run_id=search.run_id,
        started=search.started,
        seconds=search.seconds,
        ended_because=_ended_because(store, search),
        search=view,
        diagnosis=diagnose_search(view),
        run_ids={run.number: run.run_id for run in runs},
        settings=dict(search.params),
        command=str(record.get("command", "")),
        git_commit=record.get("git_commit"),
        data_name=str(data.get("name", "")),
        data_digest=str(data.get("digest", "")),
        n_rows=int(data.get("n_rows", 0)),
        n_test_rows=int(data.get("n_test_rows", 0)),
        importances=measure_importances(view),
        refit_seconds=search.metrics.get("refit_seconds", 0.0),
        model=refit.model,
        final=refit.final,
        final_test=refit.test,
        **_environment(store, search),
    )


def _ended_because(store: Store, search: RunView) -> str:
    is_interrupted = shown_status(store, search) == "INTERRUPTED"
    open_text = "it was interrupted" if is_interrupted else "it is still running"
    return search.tags.get(names.REASON, open_text)


def read_search_view(
    store: Store,
    search: RunView,
    *,
    record: Mapping[str, Any] | None = None,
    runs: Sequence[RunView] | None = None,
) -> SearchView:
    """Return the view of a search for the diagnosis rules.

    Args:
        store: The store of the search.
        search: Parent run of the search.
        record: Content of its ``search.json`` if already read.
        runs: Its trials if already listed.
    """
    record = record or read_json(store, search, names.SEARCH_FILE)
    context = _context(store, search, record)
    runs = list_trials(store, search) if runs is None else runs
    return SearchView(
        trials=[read_trial_view(store, run, context) for run in runs],
        context=context,
        space=_space(store, search),
        test=refit_of(search, runs).trial_test,
    )


def _space(store: Store, search: RunView) -> Mapping[str, ParameterView]:
    stored = _read_or_nothing(store, search, names.SPACE_FILE)
    if stored:
        with parsing(names.SPACE_FILE, search.run_id):
            return space_from_json(json.loads(stored))
    return read_space(study_file(store, search.run_id), search.experiment)


def read_trial_view(store: Store, run: RunView, context: Context) -> TrialView:
    """Return the view of a trial for the diagnosis rules, with its predictions."""
    trial, result = read_trial(store, run)
    _check_objective(run, result, context.objective.metric)
    if result.state is not TrialState.FAILED and result.folds:
        predictions = _read_or_nothing(store, run, names.OUT_OF_FOLD_FILE)
        result = replace(result, out_of_fold=predictions)
    return TrialView(trial, result, context)


def _check_objective(run: RunView, result: TrialResult, metric: str) -> None:
    """Check that a trial has a score in the objective of its search.

    Raises:
        StoreError: It has none.
    """
    if result.folds and metric not in {*result.folds[0].validation, *COSTS}:
        raise StoreError(
            f"trial {run.number} ({run.run_id[:8]}) has no score {metric!r}, which is "
            f"the objective of its search. Its tag {names.OBJECTIVE} was edited in "
            "MLflow: restore it there"
        )


def read_context(store: Store, search: RunView) -> Context:
    """Return the context of the trials of a search."""
    return _context(store, search, read_json(store, search, names.SEARCH_FILE))


def _context(store: Store, search: RunView, record: Mapping[str, Any]) -> Context:
    references = _read_references(store, search)
    with parsing(names.SEARCH_FILE, search.run_id):
        task = Task(record["data"]["task"])
    return Context(
        objective=search.objective,
        task=task,
        class_names=tuple(str(name) for name in record.get("class_names", ())),
        baselines=references.baselines if references else None,
        facts=references.facts if references else None,
        further=search.goal.objectives[1:],
        pick=search.goal.pick,
        tie_breaker=search.goal.tie_breaker,
    )


def _read_references(store: Store, run: RunView) -> References | None:
    content = _read_or_nothing(store, run, names.REFERENCES_FILE)
    if not content:
        return None
    with parsing(names.REFERENCES_FILE, run.run_id):
        return references_from_dict(json.loads(content))


def _environment(store: Store, run: RunView) -> dict[str, Any]:
    if not _read_or_nothing(store, run, names.ENVIRONMENT_FILE):
        return {}
    record = read_json(store, run, names.ENVIRONMENT_FILE)
    packages = record.get("packages", {})
    versions = {n: packages[n] for n in KEY_PACKAGES if n in packages}
    own = {"python": record.get("python", ""), "ktune": record.get("ktune", "")}
    machine = ", ".join(
        str(record[key]) for key in ("platform", "processor") if record.get(key)
    )
    return {"versions": {**own, **versions}, "machine": machine}


def _read_or_nothing(store: Store, run: RunView, name: str) -> bytes:
    try:
        return read_run_file(store, run, name)
    except StoreError:
        return b""
