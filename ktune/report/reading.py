"""Read a search from MLflow as a report needs it."""

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
from ktune.report.importances import measure_importances
from ktune.report.space import read_space, space_from_json
from ktune.report.view import SearchReport
from ktune.tracking import names
from ktune.tracking.reader import (
    RunView,
    list_trials,
    read_run_file,
    read_trial,
    study_file,
    test_estimates,
)
from ktune.tracking.store import Store
from ktune.trial import TrialState


def read_report(store: Store, search: RunView) -> SearchReport:
    """Return everything a report of a search says.

    Raises:
        StoreError: A record of the search or of a trial is missing.
    """
    record = _read_json(store, search, names.SEARCH_FILE)
    runs = list_trials(store, search)
    view = read_search_view(store, search, record=record, runs=runs)
    data = record.get("data", {})
    return SearchReport(
        name=search.experiment,
        run_id=search.run_id,
        started=search.started,
        seconds=search.seconds,
        ended_because=search.tags.get(names.REASON, "it is still running"),
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
        model=search.tags.get(names.MODEL_VERSION, ""),
        **_environment(store, search),
    )


def read_search_view(
    store: Store,
    search: RunView,
    *,
    record: Mapping[str, Any] | None = None,
    runs: Sequence[RunView] | None = None,
) -> SearchView:
    """Return a search as the diagnosis rules see it.

    Args:
        store: Where it stands.
        search: Its parent run.
        record: Content of its ``search.json`` if it was read already.
        runs: Its trials if they were listed already.
    """
    record = record or _read_json(store, search, names.SEARCH_FILE)
    context = _context(store, search, record)
    runs = list_trials(store, search) if runs is None else runs
    return SearchView(
        trials=[read_trial_view(store, run, context) for run in runs],
        context=context,
        space=_space(store, search),
        test=test_estimates(search),
    )


def _space(store: Store, search: RunView) -> Mapping[str, ParameterView]:
    stored = _read_or_nothing(store, search, names.SPACE_FILE)
    if stored:
        return space_from_json(json.loads(stored))
    return read_space(study_file(store, search.run_id), search.experiment)


def read_trial_view(store: Store, run: RunView, context: Context) -> TrialView:
    """Return a trial as the diagnosis rules see it, with its predictions."""
    trial, result = read_trial(store, run)
    if result.state is not TrialState.FAILED and result.folds:
        predictions = _read_or_nothing(store, run, names.OUT_OF_FOLD_FILE)
        result = replace(result, out_of_fold=predictions)
    return TrialView(trial, result, context)


def read_context(store: Store, search: RunView) -> Context:
    """Return what all trials of a search have in common."""
    return _context(store, search, _read_json(store, search, names.SEARCH_FILE))


def _context(store: Store, search: RunView, record: Mapping[str, Any]) -> Context:
    references = _read_references(store, search)
    return Context(
        objective=search.objective,
        task=Task(record["data"]["task"]),
        class_names=tuple(str(name) for name in record.get("class_names", ())),
        baselines=references.baselines if references else None,
        facts=references.facts if references else None,
        further=search.goal.objectives[1:],
        pick=search.goal.pick,
    )


def _read_references(store: Store, run: RunView) -> References | None:
    content = _read_or_nothing(store, run, names.REFERENCES_FILE)
    return references_from_dict(json.loads(content)) if content else None


def _environment(store: Store, run: RunView) -> dict[str, Any]:
    content = _read_or_nothing(store, run, names.ENVIRONMENT_FILE)
    if not content:
        return {}
    found = json.loads(content)
    packages = found.get("packages", {})
    versions = {n: packages[n] for n in KEY_PACKAGES if n in packages}
    own = {"python": found.get("python", ""), "ktune": found.get("ktune", "")}
    machine = ", ".join(
        str(found[key]) for key in ("platform", "processor") if found.get(key)
    )
    return {"versions": {**own, **versions}, "machine": machine}


def _read_json(store: Store, run: RunView, name: str) -> Any:
    return json.loads(read_run_file(store, run, name))


def _read_or_nothing(store: Store, run: RunView, name: str) -> bytes:
    try:
        return read_run_file(store, run, name)
    except StoreError:
        return b""
