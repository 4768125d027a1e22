"""Register a refitted model, and make it champion if the gate promotes it."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ktune.data.dataset import Inputs, Task, take_rows
from ktune.data.output_scale import output_scale, scale_of_spec
from ktune.data.targets import as_predictions
from ktune.errors import StoreError
from ktune.evaluation.context import DEFAULT_OBJECTIVE, SearchContext
from ktune.evaluation.own_scores import objective_score
from ktune.evaluation.refit import Refit, predict
from ktune.metrics.objectives import is_of_model, make_objective
from ktune.metrics.scores import Objective
from ktune.metrics.threshold import cut_at, of_labels
from ktune.models.registry.alias_changes import (
    ChampionChanged,
    Expected,
    How,
    change_alias,
)
from ktune.models.registry.card import scores_tag
from ktune.models.registry.gate import Decision, decide, decide_by_own_scores
from ktune.models.registry.packaged_model import PackagedModel
from ktune.models.registry.registration import load_served_model, register
from ktune.models.registry.untouched import rows_for_both
from ktune.tracking import names
from ktune.tracking.champion_lock import champion_lock
from ktune.tracking.connectivity import is_unavailable
from ktune.tracking.model_files import predict_rows
from ktune.tracking.model_registry import (
    CHALLENGER,
    CHAMPION,
    Registration,
    final_version_of,
    find_champion,
    lineage,
    link_logged_model,
    tag_version,
    version_of_trial,
)
from ktune.tracking.store import Store
from ktune.utils.text import one_line

_log = logging.getLogger(__name__)

SMOKE_TEST = "a model of a smoke test does not become champion"
_ATTEMPTS = 5
_REGISTERED_BEFORE = "this search has registered it already"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A refitted model to register.

    Attributes:
        search_run_id: Its search.
        trial_run_id: The refitted trial; "" for several models in one.
        fitted: The model.
        tags: Further tags of the version.
        is_smoke_test: Whether it was trained only to see whether the experiment runs;
            such a model gets no alias.
    """

    search_run_id: str
    trial_run_id: str
    fitted: Refit
    tags: dict[str, str] = field(default_factory=dict)
    is_smoke_test: bool = False


def register_best(
    store: Store, context: SearchContext, candidate: Candidate, *, force: bool = False
) -> tuple[Registration, Decision]:
    """Register a refitted model, as champion if the gate promotes it.

    Args:
        store: The store to write to.
        context: Context of the search; both models are measured on its test rows.
        candidate: The refitted model.
        force: Make it champion even if the gate refuses.

    Returns:
        The version, and the decision of the gate.
    """
    before = _registered_before(store, context, candidate)
    if before is not None and names.GATE in before.tags and not force:
        return before, _recorded_decision(before)
    if before is not None:  # interrupted before it got an alias
        link_logged_model(store, before)
    version = before or register_candidate(store, context, candidate)
    if candidate.is_smoke_test and not force:
        tag_version(store, version, names.GATE, f"no alias: {SMOKE_TEST}")
        return version, Decision(False, SMOKE_TEST)
    predictions = predictions_of(context, candidate.fitted)
    return compare_and_assign(store, context, version, predictions, force=force)


def _recorded_decision(version: Registration) -> Decision:
    """Return the decision on a version that was registered before."""
    reason = version.tags[names.GATE].partition(": ")[2]
    return Decision(version.alias == CHAMPION, reason or _REGISTERED_BEFORE)


def compare_and_assign(
    store: Store,
    context: SearchContext,
    version: Registration,
    predictions: np.ndarray | None,
    *,
    force: bool = False,
) -> tuple[Registration, Decision]:
    """Compare a version with the champion, and assign its alias, as one step.

    Two processes do so one after the other, so the second one compares with the
    champion of the first.

    Args:
        store: The store of both.
        context: Both models are measured on its test rows.
        version: The candidate.
        predictions: Its predictions, as for `decide_champion`.
        force: Make it champion even if the gate refuses.

    Raises:
        ChampionChanged: Other processes change the champion all the time.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        with champion_lock(store, version.name):
            decision = decide_champion(store, context, predictions, version)
            try:
                found = assign_alias(store, version, decision, force=force)
            except ChampionChanged:  # a server may have other users
                if attempt == _ATTEMPTS:
                    raise
            else:
                return found, decision
    raise AssertionError


def _registered_before(
    store: Store, context: SearchContext, candidate: Candidate
) -> Registration | None:
    """Return the version that an earlier run of the same search has registered.

    The same trials refitted on the same rows are the same model. A search that was
    interrupted while it registered, or is resumed and finds nothing better, registers
    no second version of it.
    """
    if candidate.trial_run_id:
        version = version_of_trial(store, candidate.trial_run_id)
    elif names.FINAL in candidate.tags:
        version = final_version_of(store, candidate.search_run_id)
    else:
        return None
    if version is None:
        return None
    tags = {**_identity(context, candidate), **candidate.tags}
    is_same = all(
        version.tags.get(name) == tags.get(name) for name in (*tags, names.THRESHOLD)
    )
    return version if is_same else None


def find_or_register(
    store: Store, context: SearchContext, candidate: Candidate
) -> Registration:
    """Return the version of an earlier run of the same search, or register one.

    It gets no alias.
    """
    before = _registered_before(store, context, candidate)
    return before or register_candidate(store, context, candidate)


def register_candidate(
    store: Store, context: SearchContext, candidate: Candidate
) -> Registration:
    """Register a refitted model without an alias."""
    package = PackagedModel(
        candidate.fitted,
        context.example,
        context.data.task,
        context.data.class_names,
        context.reading,
        context.builder,
    )
    return register(
        store,
        package,
        name=context.experiment.name,
        run_id=candidate.search_run_id,
        tags={
            **_identity(context, candidate),
            **scores_tag(candidate.fitted.test),
            **candidate.tags,
        },
    )


def _identity(context: SearchContext, candidate: Candidate) -> dict[str, str]:
    """Return tags that identify the trial and data of a version."""
    return {
        **lineage(candidate.search_run_id, candidate.trial_run_id),
        names.DATA_DIGEST: context.data_digest,
        names.TEST_DIGEST: context.partition.test_digest,
        **_threshold_tag(candidate.fitted),
    }


def assign_alias(
    store: Store, version: Registration, decision: Decision, *, force: bool = False
) -> Registration:
    """Set the alias of the gate's decision; return the version with it."""
    if decision.champion == version.version and names.GATE in version.tags:
        return replace(version, alias=CHAMPION)
    alias = CHAMPION if decision.is_promoted or force else CHALLENGER
    is_forced = force and not decision.is_promoted
    how: How = "force" if is_forced else "gate"
    change_alias(
        store,
        version,
        alias,
        how=how,
        reason=decision.reason,
        expected=Expected(decision.champion),
    )
    return replace(version, alias=alias)


def decide_champion(
    store: Store,
    context: SearchContext,
    predictions: np.ndarray | None,
    version: Registration | None = None,
) -> Decision:
    """Decide whether a model becomes champion.

    Args:
        store: The store of the champion.
        context: Both models are measured on its test rows.
        predictions: Predictions of the candidate for the test rows, in the form of
            `compute_metrics`; None without test rows.
        version: The version of the candidate, if it is registered.
    """
    name = version.name if version else context.experiment.name
    champion = find_champion(store, name)
    if champion is None:
        return Decision(True, "first version of this model")
    if version is not None and champion.version == version.version:
        decision = Decision(True, _REGISTERED_BEFORE)
    else:
        decision = _compare(store, context, predictions, champion)
    return replace(decision, champion=champion.version)


def _compare(
    store: Store,
    context: SearchContext,
    predictions: np.ndarray | None,
    champion: Registration,
) -> Decision:
    """Decide whether a model is better than the champion."""
    try:
        served = load_served_model(store, champion)
    except StoreError as error:
        return _without_champion(champion, error)
    partition, task = context.partition, context.data.task
    if partition.x_test is None or partition.y_test is None or predictions is None:
        return Decision(False, "no untouched test set to compare it with the champion")
    rows = rows_for_both(store, champion, partition, context.data_digest)
    try:
        x_test = take_rows(partition.x_test, rows.positions)
        champion_predictions = _predictions_of_served(served, champion, context, x_test)
    except Exception as error:
        # The champion may expect other inputs; the candidate is registered anyway.
        _log.warning("champion version %s: %s", champion.version, one_line(str(error)))
        return Decision(
            False,
            f"champion version {champion.version} cannot predict these test rows "
            f"({type(error).__name__})",
        )
    if task is Task.CUSTOM:
        return decide_by_own_scores(
            predictions[rows.positions],
            champion_predictions[rows.positions],
            partition.y_test[rows.positions],
            score=objective_score(context),
            objective=context.objective,
            seed=context.experiment.seed,
        ).with_note(rows.note)
    decision = decide(
        predictions[rows.positions],
        champion_predictions,
        partition.y_test[rows.positions],
        task=task,
        objective=objective_of_predictions(context),
        seed=context.experiment.seed,
    )
    return decision.with_note(rows.note)


def _without_champion(champion: Registration, error: StoreError) -> Decision:
    """Decide where the champion cannot be loaded: it does not block its successor.

    Raises:
        StoreError: Only the server of the store does not answer.
    """
    if is_unavailable(error):
        raise error
    reason = str(error).strip().splitlines()[0]
    return Decision(
        True,
        f"champion version {champion.version} can no longer be loaded, so it cannot "
        f"stay: {reason[:300]}",
    )


def predictions_of(context: SearchContext, fitted: Refit) -> np.ndarray | None:
    """Return predictions of a refitted model for the test rows; None without any."""
    if context.partition.x_test is None:
        return None
    outputs = predict(fitted.model, fitted.preprocessing, context.partition.x_test)
    data = context.data
    scale = output_scale(fitted.model, data.task, data.n_outputs)
    predictions = as_predictions(outputs, data.task, scale=scale)
    threshold = fitted.threshold
    return _cut(predictions, context, None if threshold is None else threshold.value)


def predictions_of_version(
    store: Store, version: Registration, context: SearchContext, x: Inputs
) -> np.ndarray:
    """Return predictions of a registered version in the form of `compute_metrics`.

    The version itself records the scale of its outputs, its threshold and its classes.

    Raises:
        ValueError: Its classes differ from those of the data.
    """
    model = load_served_model(store, version)
    return _predictions_of_served(model, version, context, x)


def _predictions_of_served(
    model: Any, version: Registration, context: SearchContext, x: Inputs
) -> np.ndarray:
    spec = model.unwrap_python_model().spec
    class_names = list(context.data.class_names)
    if list(spec["class_names"]) != class_names:
        raise ValueError(
            f"version {version.version} has the classes {spec['class_names']}, the "
            f"data have {class_names}"
        )
    predictions = as_predictions(
        predict_rows(model, x), context.data.task, scale=scale_of_spec(spec)
    )
    threshold = version.tags.get(names.THRESHOLD)
    return _cut(predictions, context, None if threshold is None else float(threshold))


def _cut(
    predictions: np.ndarray, context: SearchContext, threshold: float | None
) -> np.ndarray:
    """Shift probabilities to a model's own threshold, for metrics that use one."""
    if threshold is None or not of_labels((objective_of_predictions(context).metric,)):
        return predictions
    return cut_at(predictions, threshold)


def _threshold_tag(fitted: Refit) -> dict[str, str]:
    threshold = fitted.threshold
    return {} if threshold is None else {names.THRESHOLD: repr(threshold.value)}


def objective_of_predictions(context: SearchContext) -> Objective:
    """The search's objective; the task's default where it is the model's own loss."""
    is_custom = context.data.task is Task.CUSTOM
    if is_custom or not is_of_model(context.objective.metric):
        return context.objective
    return make_objective(DEFAULT_OBJECTIVE[context.data.task])
