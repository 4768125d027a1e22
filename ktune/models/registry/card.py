"""Write the card of a registered version from its records in MLflow."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktune.errors import StoreError
from ktune.metrics.intervals import Estimate
from ktune.models.registry.card_text import Card, Member, render_card
from ktune.tracking import names
from ktune.tracking.artifacts import read_findings, read_json
from ktune.tracking.model_files import add_model_files
from ktune.tracking.model_registry import Registration, describe_version, find_version
from ktune.tracking.reader import RunView, find_run, list_trials, read_trial
from ktune.tracking.store import Store
from ktune.trial import TrialResult

CARD_FILE = "model_card.md"


def write_card(store: Store, name: str, number: int) -> str:
    """Write the card of a version as its artifact and as its description in MLflow.

    Returns:
        The card, as Markdown.

    Raises:
        StoreError: The version does not exist, or its search is not readable.
    """
    version = find_version(store, name, number)
    if version is None:
        raise StoreError(f"model {name!r} has no version {number}")
    try:
        card = render_card(read_card(store, version))
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"the card of model {name!r} version {number} cannot be written: a tag of "
            f"the version was edited, or a run is gone ({type(error).__name__}: "
            f"{error}). Its aliases are not concerned"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CARD_FILE).write_text(card, encoding="utf-8")
        add_model_files(store, version.model_id, Path(folder))
    describe_version(store, version, card)
    return card


def read_card(store: Store, version: Registration) -> Card:
    """Collect the content of a version's card."""
    search = find_run(store, version.tags[names.SEARCH_RUN])
    record = read_json(store, search, names.SEARCH_FILE)
    runs = {run.run_id: run for run in list_trials(store, search)}
    ensemble = json.loads(version.tags.get(names.ENSEMBLE, "{}"))
    weights = ensemble.get("weights") or {version.tags.get(names.TRIAL_RUN, ""): 1.0}
    trials = {run_id: read_trial(store, runs[run_id]) for run_id in weights}
    first = next(iter(trials))
    is_of_one = len(trials) == 1
    is_best = search.tags.get(names.BEST_RUN) == first
    return Card(
        name=version.name,
        version=version.version,
        license=_stated(search.params.get("license")),
        data=record["data"],
        data_digest=version.tags.get(names.DATA_DIGEST, ""),
        class_names=record["class_names"],
        params=search.params,
        objective=search.objective.metric,
        n_trials=Counter(run.state for run in runs.values()),
        members=[
            Member(trial.number, run_id, trial.values, weights[run_id])
            for run_id, (trial, _) in trials.items()
        ],
        epochs=None if ensemble else (trials[first][1].best_epoch or 0) + 1,
        method=ensemble.get("method", ""),
        fold_scores=_fold_scores(trials[first][1], runs[first], ensemble),
        test=scores_of(version),
        baselines=_baselines(search),
        verdict=runs[first].tags.get(names.VERDICT, "") if is_of_one else "",
        findings=[
            *(read_findings(store, runs[first]) if is_of_one else ()),
            *(read_findings(store, search) if is_of_one and is_best else ()),
        ],
        gate=version.tags.get(names.GATE, ""),
        search_run_id=search.run_id,
        command=record.get("command", ""),
        git_commit=record.get("git_commit") or "",
        environment=read_json(store, search, names.ENVIRONMENT_FILE),
    )


def scores_tag(test: Mapping[str, Estimate]) -> dict[str, str]:
    """Return the tag with a version's test scores."""
    scores = {name: [e.value, e.low, e.high] for name, e in test.items()}
    return {names.TEST_SCORES: json.dumps(scores)} if scores else {}


def scores_of(version: Registration) -> dict[str, Estimate]:
    """Return the test scores of a version."""
    scores = json.loads(version.tags.get(names.TEST_SCORES, "{}"))
    return {name: Estimate(*values) for name, values in scores.items()}


def _fold_scores(
    result: TrialResult, run: RunView, ensemble: Mapping[str, Any]
) -> dict[str, tuple[float, float | None]]:
    if ensemble.get("estimates"):
        return {n: (mean, None) for n, mean in ensemble["estimates"].items()}
    return {
        name: (result.mean(name), run.metrics.get(f"val_{name}_std"))
        for name in result.folds[0].validation
    }


def _baselines(search: RunView) -> dict[str, float]:
    start, end = "baseline_", f"_{search.objective.metric}"
    return {
        key.removeprefix(start).removesuffix(end): value
        for key, value in search.metrics.items()
        if key.startswith(start) and key.endswith(end)
    }


def _stated(license: str | None) -> str:
    return "" if license in (None, "None") else str(license)
