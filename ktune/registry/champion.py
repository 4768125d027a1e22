"""Register the best model of a search, as champion if the gate lets it through."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from ktune.dataset import Inputs
from ktune.evaluation import DEFAULT_OBJECTIVE, Workbench
from ktune.metrics import LOSS, Objective, make_objective
from ktune.refit import Refit, predict
from ktune.registry.gate import Decision, decide
from ktune.registry.packaging import PackagedModel
from ktune.registry.registration import (
    CHALLENGER,
    CHAMPION,
    Registration,
    find_champion,
    lineage,
    load_served_model,
    register,
)
from ktune.targets import as_predictions, returns_logits
from ktune.tracking import names
from ktune.tracking.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A refitted model that asks to be registered.

    Attributes:
        search_run_id: The search that found it.
        trial_run_id: The trial it was refitted from.
        fitted: The model.
        example: A few raw rows.
        class_names: In the order of the model's outputs.
        data_digest: Of the data it was trained and tested on.
    """

    search_run_id: str
    trial_run_id: str
    fitted: Refit
    example: Inputs
    class_names: Sequence[str] = field(default=())
    data_digest: str = ""


def register_best(
    store: Store, bench: Workbench, candidate: Candidate
) -> tuple[Registration, Decision]:
    """Register a search's best model, as champion if the gate lets it through.

    Args:
        store: Where to.
        bench: The search's data: both models are measured on its test rows.
        candidate: The refitted model.

    Returns:
        The version made, and why it is champion or challenger.
    """
    name = bench.experiment.name
    decision = decide_champion(store, bench, candidate)
    registration = register(
        store,
        PackagedModel(
            candidate.fitted, candidate.example, bench.data.task, candidate.class_names
        ),
        name=name,
        run_id=candidate.search_run_id,
        tags={
            **lineage(candidate.search_run_id, candidate.trial_run_id),
            names.DATA_DIGEST: candidate.data_digest,
            names.TEST_DIGEST: bench.partition.test_digest,
            names.GATE: decision.reason,
            **_threshold_tag(candidate.fitted),
        },
        alias=CHAMPION if decision.is_promoted else CHALLENGER,
    )
    return registration, decision


def decide_champion(store: Store, bench: Workbench, candidate: Candidate) -> Decision:
    """Decide whether a refitted model takes over alias ``champion``."""
    fitted = candidate.fitted
    champion = find_champion(store, bench.experiment.name)
    if champion is None:
        return Decision(True, "first version of this model")
    x_test, y_test = bench.partition.x_test, bench.partition.y_test
    if x_test is None or y_test is None:
        return Decision(False, "no untouched test set to compare it with the champion")
    seen = (champion.tags.get(names.DATA_DIGEST), champion.tags.get(names.TEST_DIGEST))
    if seen != (candidate.data_digest, bench.partition.test_digest):
        return Decision(
            False,
            f"champion version {champion.version} has other data or test rows, so it "
            "may have been trained on the present test rows",
        )
    task, is_logits = bench.data.task, returns_logits(fitted.model)
    try:
        outputs = load_served_model(store, champion).predict(x_test)
        theirs = as_predictions(outputs, task, is_logits=is_logits)
    except Exception as error:
        # The old champion may take other inputs; that is no reason to lose the new.
        _log.warning("champion version %s: %s", champion.version, error)
        return Decision(
            False,
            f"champion version {champion.version} cannot predict these test rows "
            f"({type(error).__name__})",
        )
    ours = predict(fitted.model, fitted.preprocessing, x_test)
    return decide(
        as_predictions(ours, task, is_logits=is_logits),
        theirs,
        y_test,
        task=task,
        objective=_objective_of_predictions(bench),
        seed=bench.experiment.seed,
    )


def _threshold_tag(fitted: Refit) -> dict[str, str]:
    threshold = fitted.threshold
    return {} if threshold is None else {names.THRESHOLD: repr(threshold.value)}


def _objective_of_predictions(bench: Workbench) -> Objective:
    """The search's objective; the task's default where it is the model's own loss."""
    if bench.objective.metric != LOSS:
        return bench.objective
    return make_objective(DEFAULT_OBJECTIVE[bench.data.task])
