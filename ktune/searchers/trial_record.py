"""Conversion between trials and user attributes of Optuna."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial

from ktune.errors import ConstraintViolated, OutOfMemory
from ktune.searchers.configuration import Assignment, Configuration
from ktune.searchers.parameter import Parameter
from ktune.trial import Trial, TrialResult, TrialState

PARAMETER = "ktune.parameter:"
NUMBER = "ktune.number"
VALUES = "ktune.values"
PATH = "ktune.path"
SEED = "ktune.seed"
EPOCHS = "ktune.epochs"
PARENT = "ktune.parent"
DRIVER = "ktune.driver"
NOTE = "ktune.note"
RESULT = "ktune.result"
DROPPED = "ktune.dropped"

_TOO_LARGE = (ConstraintViolated.__name__, OutOfMemory.__name__)


@dataclass(frozen=True)
class TrialRecord:
    """Record of a trial in the trial store.

    Attributes:
        trial: The trial.
        configuration: Its values with their parameters.
        state: Final state; None if it has not ended.
        score: Fold mean of the objective at the best epoch; None without a score.
        reports: Reported value by step.
        started: Local time of the first `ask`.
        finished: Local time of `tell`.
        note: Data of the engine.
        is_running: Whether it is being evaluated, or was when its driver died.
        driver: Number of its driver, if a search has several.
    """

    trial: Trial
    configuration: Configuration
    state: TrialState | None
    score: float | None
    reports: Mapping[int, float]
    started: datetime | None
    finished: datetime | None
    note: Mapping[str, Any]
    is_running: bool = False
    driver: int | None = None


def trial_attributes(
    trial: Trial,
    configuration: Configuration,
    note: Mapping[str, Any],
    driver: int | None = None,
) -> dict[str, Any]:
    """Return a trial as user attributes."""
    record = {
        VALUES: dict(trial.values),
        PATH: [assignment.key for assignment in configuration],
        SEED: trial.seed,
        EPOCHS: trial.epochs,
        PARENT: trial.parent,
        NOTE: dict(note) or None,
        DRIVER: driver,
        # Last: a trial without a number does not count.
        NUMBER: trial.number,
    }
    return {name: value for name, value in record.items() if value is not None}


def result_attribute(result: TrialResult) -> dict[str, Any]:
    """Return a result as the value of a user attribute."""
    scores = result.scores or (result.score,)
    has_score = all(score is not None and math.isfinite(score) for score in scores)
    is_lost = result.is_complete and not has_score
    return {
        "state": str(TrialState.FAILED if is_lost else result.state),
        "score": result.score if has_score else None,
        "scores": list(result.scores) if has_score else [],
        "violation": _violation(result),
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "seconds": result.seconds,
    }


def _violation(result: TrialResult) -> float:
    """Return 1 for a model that is too large or too slow, so that samplers avoid it."""
    failure = result.failure
    return float(failure is not None and failure.kind in _TOO_LARGE)


def record_of(trial: FrozenTrial, parameters: Mapping[str, Parameter]) -> TrialRecord:
    """Return the record of an Optuna trial."""
    attributes = trial.user_attrs
    values = attributes[VALUES]
    configuration = tuple(
        Assignment(key, parameters[key], values[parameters[key].name])
        for key in attributes[PATH]
    )
    result = attributes.get(RESULT, {})
    is_finished = trial.state.is_finished() and "state" in result
    return TrialRecord(
        trial=Trial(
            number=attributes[NUMBER],
            values=values,
            seed=attributes[SEED],
            epochs=attributes.get(EPOCHS),
            parent=attributes.get(PARENT),
        ),
        configuration=configuration,
        state=TrialState(result["state"]) if is_finished else None,
        score=result.get("score") if is_finished else None,
        reports=dict(trial.intermediate_values),
        started=trial.datetime_start,
        finished=trial.datetime_complete,
        note=attributes.get(NOTE, {}),
        is_running=not trial.state.is_finished(),
        driver=attributes.get(DRIVER),
    )
