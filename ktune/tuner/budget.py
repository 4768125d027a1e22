"""The time of a search: trials end early enough to refit and register the model.

``timeout`` is the time from the first trial to the registered model. The time that
follows the trials is forecast from what is known: refits from the recorded times of the
best trials; storing, checking and reporting from an earlier search of the experiment,
else from the time that Keras took to load, since a fresh process loads each version.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ktune.data.dataset import Task
from ktune.evaluation.context import SearchContext
from ktune.experiment.experiment import Experiment
from ktune.metrics.ranking import rank_results
from ktune.models.ensembles.final_choice import MIN_TRIALS
from ktune.models.ensembles.selection import MAX_MEMBERS
from ktune.tracking import names
from ktune.tracking.final_record import AVERAGE
from ktune.tracking.reader import list_searches
from ktune.tracking.store import Store
from ktune.trial import Trial, TrialResult
from ktune.utils.runtime import import_seconds

MAX_SHARE = 0.25
"""Time of further refits for an average, as a share of the time of all trials."""

TOLERANCE = 0.05
"""Share of the limit by which a search may exceed it."""

_LOADS_PER_VERSION = 3.5
"""Time to measure, store and report a version, as a multiple of loading Keras."""

_LOADS_PER_REFIT = 0.4
"""Time to trace the program of a refit, likewise."""


@dataclass(frozen=True, eq=False)
class TimeBudget:
    """The time limit of a search, and the time to keep free for its end.

    Attributes:
        context: The context of the search.
        results: All trials so far; the search adds to it.
        version_seconds: Time to measure, store, check and report one version.
        started: Time of `time.monotonic` at the first trial.
    """

    context: SearchContext
    results: list[tuple[Trial, TrialResult]]
    version_seconds: float
    started: float

    @property
    def seconds_left(self) -> float:
        """Time until the limit; infinite without one."""
        timeout = self.context.experiment.timeout_seconds
        if timeout is None:
            return math.inf
        return self.started + timeout - time.monotonic()

    @property
    def tolerance(self) -> float:
        """Time by which a search may exceed its limit."""
        return TOLERANCE * (self.context.experiment.timeout_seconds or 0.0)

    def reserve(self) -> float:
        """Return the time to keep free: at most half of the limit."""
        timeout = self.context.experiment.timeout_seconds
        if timeout is None:
            return 0.0
        return min(self._forecast(), timeout / 2)

    def _forecast(self) -> float:
        """Return the time to make the final model of the trials so far."""
        experiment = self.context.experiment
        ranked = rank_results(self.results, self.context.goal)
        complete = [result for _, result in ranked if result.is_complete]
        refits = [_refit_seconds(result) for result in complete[:MAX_MEMBERS]]
        single = self.version_seconds + (refits[0] if refits else _trace_seconds())
        if not may_average(self.context, len(complete)):
            return single
        further = sum(refits[1:])
        is_too_long = further > MAX_SHARE * spent_seconds(experiment, self.results)
        if experiment.final == "auto" and is_too_long:
            return single
        return single + self.version_seconds + further


def make_budget(
    store: Store, context: SearchContext, results: list[tuple[Trial, TrialResult]]
) -> TimeBudget:
    """Return the budget of a search that begins now."""
    seconds, experiment = _LOADS_PER_VERSION * import_seconds(), context.experiment
    if experiment.timeout is not None:
        seconds = _recorded_seconds(store, experiment.name) or seconds
    return TimeBudget(context, results, seconds, time.monotonic())


def may_average(context: SearchContext, n_complete: int) -> bool:
    """Whether an average is considered; "auto" needs some trials and one objective.

    The outputs of a custom task have no mean.
    """
    if context.experiment.final != "auto":
        return context.experiment.final == AVERAGE
    if context.data.task is Task.CUSTOM:
        return False
    return n_complete >= MIN_TRIALS and context.goal.is_single


def spent_seconds(
    experiment: Experiment, results: Sequence[tuple[Trial, TrialResult]]
) -> float:
    """Return the time of all trials so far."""
    seconds = sum(result.seconds for _, result in results)
    return seconds / (experiment.jobs or 1)


def seconds_to_best(result: TrialResult) -> float:
    """Return the time of a trial up to its best epoch."""
    assert result.best_epoch is not None
    return result.seconds * (result.best_epoch + 1) / max(result.epochs, 1)


def version_metric(seconds: float, n_versions: int) -> Mapping[str, float]:
    """Return the metric by which the next search forecasts the time of its end.

    Args:
        seconds: Time after the last trial, without the training of refits.
        n_versions: Number of registered versions.
    """
    return {names.VERSION_SECONDS: seconds / n_versions} if n_versions else {}


def _recorded_seconds(store: Store, name: str) -> float | None:
    """Return the time per version of the newest search that has recorded it."""
    for search in list_searches(store, name):
        if names.VERSION_SECONDS in search.metrics:
            return search.metrics[names.VERSION_SECONDS]
    return None


def _refit_seconds(result: TrialResult) -> float:
    return _trace_seconds() + seconds_to_best(result)


def _trace_seconds() -> float:
    return _LOADS_PER_REFIT * import_seconds()
