"""Plan the final model of a search: the best trial alone, or which mean of refits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktune.data.fixed_batch import fixed_batch_size
from ktune.errors import KtuneError
from ktune.evaluation.context import SearchContext
from ktune.evaluation.refit import Refit, Trained
from ktune.metrics.threshold import Threshold
from ktune.models.ensembles.blend import Mean
from ktune.models.ensembles.ensembling import threshold_of_blend
from ktune.models.ensembles.final_choice import FinalChoice, choose_final
from ktune.models.ensembles.library import Library, read_library
from ktune.models.registry.champion import objective_of_predictions
from ktune.models.registry.storage import why_not_whole
from ktune.tracking.final_record import ModelCosts, Part
from ktune.tracking.reader import RunView
from ktune.tracking.store import Store
from ktune.trial import Trial, TrialResult
from ktune.tuner.budget import (
    MAX_SHARE,
    TimeBudget,
    seconds_to_best,
    spent_seconds,
)


@dataclass(frozen=True, eq=False)
class BestTrial:
    """The best trial of a search, refitted."""

    trial: Trial
    result: TrialResult
    run_id: str
    fitted: Refit

    @property
    def trained(self) -> Mapping[tuple[str, int], Trained]:
        """The refit as a trained member of an average."""
        return {(self.run_id, 0): self.fitted.trained}


@dataclass(frozen=True, eq=False)
class FinalPlan:
    """The chosen final model, and its decision threshold."""

    choice: FinalChoice
    threshold: Threshold | None = None


@dataclass(frozen=True, eq=False)
class Planner:
    """Plans the final model of a search.

    Attributes:
        store: The store of the search.
        search: The search.
        context: Its context.
        budget: All its trials, and the time that is left.
    """

    store: Store
    search: RunView
    context: SearchContext
    budget: TimeBudget

    def plan(self, best: BestTrial) -> FinalPlan:
        """Return the plan of the final model."""
        wanted = self.context.experiment.final
        if reason := why_not_in_one_model(best.fitted.model):
            return FinalPlan(FinalChoice((), reason))
        try:
            library = read_library(
                self.store, self.search, self.context, always=best.run_id, at_least=1
            )
        except KtuneError as error:
            return FinalPlan(FinalChoice((), f"no average: {str(error).rstrip('.')}"))
        objective = objective_of_predictions(self.context)
        choice = choose_final(library, objective, wanted=wanted)
        if problem := self._why_too_expensive(choice.parts, best):
            return FinalPlan(FinalChoice((), f"{choice.reason}, but {problem}"))
        return FinalPlan(choice, _threshold(self.context, library, choice.parts))

    def _why_too_expensive(self, parts: Sequence[Part], best: BestTrial) -> str:
        """Return the limit that an average does not keep; "" if it keeps all."""
        experiment = self.context.experiment
        results = {trial.number: result for trial, result in self.budget.results}
        sizes = [results[part.number].n_parameters or 0 for part in parts]
        limit = experiment.max_parameters
        if limit is not None and sum(sizes) > limit:
            return f"its {sum(sizes):,} weights exceed max_parameters={limit:g}"
        seconds, left = forecast_seconds(parts, results, best), self.budget.seconds_left
        needed = seconds + 2 * self.budget.version_seconds
        if parts and needed > left + self.budget.tolerance:
            return f"{max(left, 0):.0f} s of `timeout` are too few for its refits"
        if experiment.final != "auto":
            return ""
        spent = spent_seconds(experiment, self.budget.results)
        if seconds <= MAX_SHARE * spent:
            return ""
        return (
            f"its refits would take {seconds:.0f} s, more than a quarter of the "
            f"{spent:.0f} s of the trials (--final average takes it in any case)"
        )


def why_not_in_one_model(model: Any) -> str:
    """Return why a model cannot be a part of another one; "" if it can."""
    if fixed_batch_size(model) is not None:
        return "models with a fixed batch size cannot be averaged in one model"
    if reason := why_not_whole(model):
        return f"a model that is stored as weights cannot be averaged: {reason}"
    return ""


def forecast_seconds(
    parts: Sequence[Part], results: Mapping[int, TrialResult], best: BestTrial
) -> float:
    """Return the forecast time of the refits that are still to be done.

    The refit of the best trial has taken a time per epoch and second of its
    cross-validation; that of the others is assumed to take the same.
    """
    unit = best.fitted.seconds / max(seconds_to_best(best.result), 1e-9)
    missing = [part for part in parts if (part.run_id, part.refit) not in best.trained]
    return unit * sum(seconds_to_best(results[part.number]) for part in missing)


def costs_of(fitted: Refit) -> ModelCosts:
    """Return the costs of a refitted model."""
    size = int(fitted.model.count_params())
    return ModelCosts(size, fitted.latency_ms, fitted.seconds)


def _threshold(
    context: SearchContext, library: Library, parts: Sequence[Part]
) -> Threshold | None:
    """Return the decision threshold of a mean, tuned on out-of-fold predictions."""
    places = {run.run_id: place for place, run in enumerate(library.runs)}
    members = tuple(places[part.run_id] for part in parts)
    mean = Mean(members, tuple(part.weight for part in parts))
    return threshold_of_blend(context, library, mean) if parts else None
