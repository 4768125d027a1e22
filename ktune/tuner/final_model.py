"""The final model of a search: its best trial refitted, or an average of refits.

| `final` | model |
|---|---|
| `single` | the best trial |
| `average` | a mean over up to five trials; over refits of the best trial where that \
is no better |
| `auto` | a mean over trials if it is better than the best trial by more than noise \
out of fold; else the best trial |

"auto" stays with the best trial if fewer than ten trials are complete, if there are
several objectives, or if the further refits would take more than a quarter of the time
of the trials. Every average keeps ``max_parameters`` and ``max_latency_ms``; the best
trial is then registered too, with alias ``single``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ktune.errors import ExperimentError, ModelLost
from ktune.evaluation.context import SearchContext
from ktune.evaluation.recorded_refit import refit_recorded
from ktune.evaluation.refit import Refit
from ktune.listener import Listener
from ktune.metrics.proper_scores import proper_metric
from ktune.metrics.ranking import front_of_results, rank_results
from ktune.metrics.scores import LATENCY
from ktune.models.ensembles.ensembling import version_tag
from ktune.models.ensembles.final_choice import FinalChoice
from ktune.models.ensembles.members import MemberTrainer
from ktune.models.registry.champion import Candidate, find_or_register, register_best
from ktune.tracking import names
from ktune.tracking.champion_lock import champion_lock
from ktune.tracking.connectivity import is_unavailable
from ktune.tracking.final_record import AVERAGE, SINGLE, FinalRecord, formula
from ktune.tracking.model_files import delete_pending_models
from ktune.tracking.model_registry import SINGLE_BEST, Registration, give_alias
from ktune.tracking.reader import find_search
from ktune.tracking.records import MetricPoint
from ktune.tracking.search_logger import SearchLogger
from ktune.tracking.store import Store
from ktune.tuner.budget import TimeBudget, may_average
from ktune.tuner.final_plan import BestTrial, FinalPlan, Planner, costs_of


@dataclass(frozen=True, eq=False)
class FinalModel:
    """The final model of a search; without fields if no trial is complete.

    Attributes:
        fitted: The model.
        registration: Its version; None if it is not registered.
        single: The best trial, refitted; the same as ``fitted`` without an average.
        single_registration: Version of the best trial beside an average.
    """

    fitted: Refit | None = None
    registration: Registration | None = None
    single: Refit | None = None
    single_registration: Registration | None = None

    @property
    def training_seconds(self) -> float:
        """Wall time of the training of all refits."""
        models = {id(model): model for model in (self.fitted, self.single) if model}
        return sum(model.seconds for model in models.values())

    @property
    def registrations(self) -> list[Registration]:
        """All versions that are registered."""
        versions = (self.registration, self.single_registration)
        return [version for version in versions if version is not None]


def make_final_model(
    store: Store,
    logger: SearchLogger,
    context: SearchContext,
    budget: TimeBudget,
    listener: Listener,
    *,
    register: bool = True,
    is_smoke_test: bool = False,
) -> FinalModel:
    """Refit, test and register the final model of a search.

    Args:
        store: The store to write to.
        logger: Writes the search.
        context: The experiment bound to its data.
        budget: All trials, and the time that is left.
        listener: Receives progress messages.
        register: Whether the model is registered.
        is_smoke_test: Whether it may only be registered without an alias.
    """
    maker = _Maker(store, logger, context, budget, listener, is_smoke_test)
    return maker.make(register=register)


@dataclass(frozen=True, eq=False)
class _Maker:
    """Makes the final model of a search; see `make_final_model`."""

    store: Store
    logger: SearchLogger
    context: SearchContext
    budget: TimeBudget
    listener: Listener
    is_smoke_test: bool

    def make(self, *, register: bool) -> FinalModel:
        """Make it from the best trial, if a trial is complete."""
        best = self._refit_best()
        if best is None:
            return FinalModel()
        if not register:
            self._log_best(best, best.fitted)
            return FinalModel(best.fitted, single=best.fitted)
        delete_pending_models(self.store, self.logger.run_id)  # of a killed process
        plan = self._plan(best)
        if plan is not None and plan.choice.parts:
            try:
                return self._register_average(best, plan)
            except Exception as error:  # the best trial is a model in any case
                if is_unavailable(error):
                    raise
                self.listener.on_note(f"No average: {error}")
                plan = FinalPlan(FinalChoice((), f"an average failed: {error}"))
        return self._register_single(best, plan)

    def _refit_best(self) -> BestTrial | None:
        """Refit the best complete trial, if there is one."""
        goal, logger = self.context.goal, self.logger
        ranked = rank_results(self.budget.results, goal)
        if not ranked or not ranked[0][1].is_complete:
            return None
        if not goal.is_single:
            front = front_of_results(ranked, goal)
            logger.log_front({standing.number for standing in front})
        trial, result = ranked[0]
        assert result.best_epoch is not None
        self.listener.on_phase(
            f"refitting trial {trial.number} on all rows but the test rows"
        )
        run_id, epochs = logger.trial_runs[trial.number], result.best_epoch + 1
        fitted = refit_recorded(self.store, self.context, trial, run_id, epochs=epochs)
        if fitted.threshold is not None:
            self.listener.on_note(fitted.threshold.describe())
        return BestTrial(trial, result, run_id, fitted)

    def _plan(self, best: BestTrial) -> FinalPlan | None:
        """Choose the final model; None if only the best trial is considered."""
        n_complete = sum(result.is_complete for _, result in self.budget.results)
        if self.is_smoke_test or not may_average(self.context, n_complete):
            return None
        self.listener.on_phase("choosing the final model by out-of-fold predictions")
        search = find_search(self.store, self.logger.run_id)
        return Planner(self.store, search, self.context, self.budget).plan(best)

    def _register_single(self, best: BestTrial, plan: FinalPlan | None) -> FinalModel:
        """Register the best trial, by the gate."""
        fitted = best.fitted
        self._log_best(best, fitted)
        self.listener.on_phase("registering the model")
        try:
            registration, decision = register_best(
                self.store, self.context, self._candidate(best)
            )
        except ModelLost as error:  # the trials count, and the champion stays
            self.listener.on_note(f"Not registered: {error}")
            return FinalModel(fitted, single=fitted)
        self._log_model(registration, decision.reason)
        if plan is not None:
            self.logger.log_final(
                FinalRecord(
                    SINGLE,
                    plan.choice.reason,
                    version=registration.version,
                    costs=costs_of(fitted),
                )
            )
        return FinalModel(fitted, registration, single=fitted)

    def _register_average(self, best: BestTrial, plan: FinalPlan) -> FinalModel:
        """Train the members, register their mean by the gate, and the best trial."""
        store, context, parts = self.store, self.context, plan.choice.parts
        # The members become layers of the mean: the best trial is stored before.
        self.listener.on_phase("registering the best trial")
        single = find_or_register(store, context, self._candidate(best))
        single_costs = costs_of(best.fitted)
        trainer = MemberTrainer(store, context, self.listener, best.trained)
        fitted = trainer.mean(parts, plan.threshold)
        _require_quick(fitted, context)
        self._log_best(best, fitted)
        self.listener.on_phase("registering the model")
        registration, decision = register_best(
            store, context, self._candidate_of_average(fitted, plan.choice)
        )
        with champion_lock(store, single.name):
            give_alias(store, single.name, SINGLE_BEST, single.version)
        self._log_model(registration, decision.reason)
        self.logger.log_final(
            FinalRecord(
                AVERAGE,
                plan.choice.reason,
                parts,
                version=registration.version,
                single_version=single.version,
                costs=costs_of(fitted),
                single_costs=single_costs,
            )
        )
        single = replace(single, alias=SINGLE_BEST)
        return FinalModel(fitted, registration, best.fitted, single)

    def _candidate(self, best: BestTrial) -> Candidate:
        return Candidate(
            search_run_id=self.logger.run_id,
            trial_run_id=best.run_id,
            fitted=best.fitted,
            is_smoke_test=self.is_smoke_test,
        )

    def _candidate_of_average(self, fitted: Refit, choice: FinalChoice) -> Candidate:
        estimate, metric = choice.estimate, proper_metric(self.context.data.task)
        estimates = {} if estimate is None else {metric: estimate.mean}
        method = f"a mean of models ({formula(choice.parts)})"
        return Candidate(
            search_run_id=self.logger.run_id,
            trial_run_id="",
            fitted=fitted,
            tags={
                **version_tag(method, choice.parts, estimates),
                names.FINAL: AVERAGE,
            },
        )

    def _log_best(self, best: BestTrial, final: Refit) -> None:
        """Log the best trial, and the test scores of it and of the final model."""
        points = [*_refit_metrics(best.fitted, final), *_test_metrics(final, "test_")]
        if final is not best.fitted:
            points += _test_metrics(best.fitted, "single_test_")
        self.logger.log_best(best.trial, best.result, extra=points)

    def _log_model(self, registration: Registration, reason: str) -> None:
        self.logger.log_model(
            f"{registration.name}/{registration.version}",
            f"{registration.alias or 'no alias'}: {reason}",
        )


def _require_quick(fitted: Refit, context: SearchContext) -> None:
    limit = context.experiment.max_latency_ms
    if limit is not None and fitted.latency_ms > limit:
        raise ExperimentError(
            f"its latency of {fitted.latency_ms:.1f} ms exceeds "
            f"max_latency_ms={limit:g}"
        )


def _refit_metrics(single: Refit, final: Refit) -> Iterator[MetricPoint]:
    seconds = single.seconds + (0.0 if final is single else final.seconds)
    yield MetricPoint("refit_seconds", seconds)
    yield MetricPoint("refit_epochs", single.epochs)
    if final.threshold is not None:
        yield MetricPoint("threshold", final.threshold.value)
    yield MetricPoint(LATENCY, single.latency_ms)


def _test_metrics(fitted: Refit, prefix: str) -> Iterator[MetricPoint]:
    for name, estimate in fitted.test.items():
        yield MetricPoint(f"{prefix}{name}", estimate.value)
        if estimate.low is not None and estimate.high is not None:
            yield MetricPoint(f"{prefix}{name}_low", estimate.low)
            yield MetricPoint(f"{prefix}{name}_high", estimate.high)
