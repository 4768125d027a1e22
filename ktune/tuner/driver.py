"""Drive a search: run its trials, then refit, register and report."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

from ktune.diagnosis import diagnosis_as_dict
from ktune.diagnosis.references import references_as_dict
from ktune.errors import ClusterLost, SearchAborted, ServerUnavailable
from ktune.evaluation.evaluate import work_with
from ktune.executors import make_executor
from ktune.listener import Listener
from ktune.models.registry.card import write_card
from ktune.protocols import Executor, Searcher
from ktune.searchers import make_searcher
from ktune.searchers.driven_study import DrivenStudy
from ktune.tracking import names
from ktune.tracking.connectivity import is_unavailable
from ktune.tracking.reader import find_search
from ktune.tracking.records import as_json_bytes
from ktune.tracking.search_logger import SearchLogger
from ktune.tracking.store import Store
from ktune.trial import Trial, TrialResult
from ktune.tuner.budget import TimeBudget, make_budget, version_metric
from ktune.tuner.diagnoser import Diagnoser, measure_search_references
from ktune.tuner.final_model import FinalModel, make_final_model
from ktune.tuner.finalize import finalize, make_ensemble
from ktune.tuner.loop import LoopOutcome, SearchLoop
from ktune.tuner.preflight import Preflight
from ktune.tuner.request import Request
from ktune.tuner.result import SearchResult, result_of
from ktune.tuner.resume import advise_on_resume
from ktune.utils.interrupts import shielded

_LEFT_TO_OTHERS = (
    "Other drivers still evaluate trials, or have finalized the search: the last one "
    "refits and registers its best trial."
)


_Results: TypeAlias = list[tuple[Trial, TrialResult]]


@dataclass
class _End:
    """Status and reason at the end of a search."""

    status: str = "FAILED"
    reason: str = "an error"


@dataclass(frozen=True, eq=False)
class Driver:
    """One process that drives a search.

    Attributes:
        store: The store of the search.
        logger: Writes the records of the search.
        study: The study of the search.
        request: The request of the user.
        checked: The experiment bound to its data by the pre-flight.
        listener: Shows progress.
    """

    store: Store
    logger: SearchLogger
    study: DrivenStudy
    request: Request
    checked: Preflight
    listener: Listener

    def drive(self) -> SearchResult:
        """Run all trials, finalize the search, and end its run in any case."""
        command = self.request.resume_command(self.logger.run_id)
        with advise_on_resume(self.store, self.logger, command, self.listener.on_note):
            with self._run_to_end() as end:
                diagnoser = self._measure_references()
                self._announce()
                results = self._past_results(diagnoser)
                budget = self._make_budget(results)
                outcome = self._make_loop(diagnoser, results, budget).run()
                status = "KILLED" if outcome.is_interrupted else "FINISHED"
                end.status, end.reason = status, outcome.reason
                self._flush(outcome)
                final = self._finalize(diagnoser, outcome, budget)
            view = find_search(self.store, self.logger.run_id)
            return result_of(
                self.store,
                view,
                outcome=outcome,
                fitted=final.fitted,
                registration=final.registration,
            )

    @contextmanager
    def _run_to_end(self) -> Iterator[_End]:
        """End the run of the search after the block, also after an error."""
        end = _End()
        try:
            yield end
        except KeyboardInterrupt:
            end.status, end.reason = "KILLED", "interrupted"
            raise
        except SearchAborted:
            end.reason = "the first trials all failed for the same reason"
            raise
        except ClusterLost:
            end.status, end.reason = "KILLED", "the Ray cluster was lost"
            raise
        except Exception as error:
            if is_unavailable(error):
                end.status, end.reason = "KILLED", "the MLflow server is unavailable"
            raise
        finally:
            with shielded():
                self.study.leave(
                    lambda: self.logger.finish(status=end.status, reason=end.reason)
                )

    def _measure_references(self) -> Diagnoser:
        """Measure and record the references that trials are compared with."""
        context, dataset = self.checked.context, self.checked.dataset
        self.listener.on_phase("measuring simple models on the folds")
        references = measure_search_references(context, dataset)
        self.logger.log_references(
            references_as_dict(references), context.objective.metric
        )
        return Diagnoser(context, tuple(dataset.class_names), references)

    def _announce(self) -> None:
        """Report the start of the search, notes, and other drivers."""
        context, listener = self.checked.context, self.listener
        listener.on_search_start(
            context.experiment, context.objective, self.logger.run_id
        )
        for note in self.checked.notes:
            listener.on_note(note)
        if places := self.study.other_addresses():
            listener.on_note(f"Other drivers on this search: {', '.join(places)}")

    def _past_results(self, diagnoser: Diagnoser) -> _Results:
        """Diagnose the trials of the search that is resumed."""
        past = self.request.past
        results = list(past.results.values()) if past else []
        for trial, result in results:
            diagnoser.diagnose(trial, result)
        return results

    def _make_budget(self, results: _Results) -> TimeBudget:
        """Return the time limit of the search; the loop adds to ``results``."""
        return make_budget(self.store, self.checked.context, results)

    def _make_loop(
        self, diagnoser: Diagnoser, results: _Results, budget: TimeBudget
    ) -> SearchLoop:
        """Return the loop over new trials, which adds to ``results``."""

        def track(trial: Trial, result: TrialResult) -> None:
            # The user's code has returned: a process that dies now is not its fault.
            if attempts := self.study.attempts():
                attempts.remove()
            if result.batch_size:  # a refit starts with the size that fitted
                trial = replace(trial, batch_size=result.batch_size)
            diagnosis = diagnoser.diagnose(trial, result)
            self.logger.track(
                trial, result, diagnosis.verdict, diagnosis_as_dict(diagnosis)
            )
            # MLflow has the predictions; keeping them here would add up.
            results.append((trial, replace(result, out_of_fold=b"")))

        experiment = self.checked.context.experiment
        executor = make_executor(experiment, work_with(self.checked.context))
        try:
            searcher = self._make_searcher(executor)
        except BaseException:
            executor.close()
            raise
        return SearchLoop(
            searcher,
            executor,
            track=track,
            listener=self.listener,
            trials=experiment.trials,
            timeout=experiment.timeout_seconds,
            reserve=budget.reserve,
            trial_timeout=experiment.trial_timeout_seconds,
            outcome=self._outcome_so_far(),
            other_drivers=self.study,
        )

    def _make_searcher(self, executor: Executor) -> Searcher:
        context = self.checked.context
        # A worker runs the builder where there is one: it may crash or hang.
        declare = getattr(executor, "declare", context.builder.declare)
        with self.study.lock():
            return make_searcher(
                context.experiment,
                declare,
                goal=context.goal,
                path=self.study,
                epochs=context.builder.settings(self.checked.defaults).epochs,
                start_from=context.experiment.start_from,
                find_result=self._find_result(),
                counts_attempts=not hasattr(executor, "declare"),
            )

    def _find_result(self) -> Callable[[int], TrialResult | None] | None:
        """Return a function that finds recorded results of interrupted trials."""
        if self.study.is_shared:  # other drivers may die at any time
            return self.logger.recover
        return self.request.past.find_result if self.request.past else None

    def _outcome_so_far(self) -> LoopOutcome:
        past = self.request.past
        # In a shared study, the trials of earlier drivers count as those of others.
        if past is None or self.study.is_shared:
            return LoopOutcome()
        results = past.results.values()
        return LoopOutcome(
            finished=past.n_finished,
            asked=len(results),
            has_complete=any(result.is_complete for _, result in results),
        )

    def _flush(self, outcome: LoopOutcome) -> None:
        """Write the queued records; an interrupt outweighs an unavailable server."""
        try:
            self.logger.flush()
        except ServerUnavailable:
            if outcome.is_interrupted:
                raise KeyboardInterrupt from None
            raise

    def _finalize(
        self, diagnoser: Diagnoser, outcome: LoopOutcome, budget: TimeBudget
    ) -> FinalModel:
        """Refit, register and report, if this driver is to finalize the search."""
        store, logger, context = self.store, self.logger, self.checked.context
        if outcome.is_interrupted:
            if not self.study.is_shared:
                with shielded():
                    finalize(store, logger, diagnoser, None, self.listener)
            return FinalModel()
        if not self.study.try_finalize():
            self.listener.on_note(_LEFT_TO_OTHERS)
            return FinalModel()
        started, results = time.monotonic(), budget.results
        self._import_others(diagnoser, results)
        final = make_final_model(
            store,
            logger,
            context,
            budget,
            self.listener,
            register=self.request.registers,
            is_smoke_test=self.request.is_smoke_test,
        )
        finalize(store, logger, diagnoser, final.single, self.listener)
        for version in final.registrations:
            write_card(store, version.name, version.version)
        seconds = time.monotonic() - started - final.training_seconds
        logger.log_metrics(version_metric(seconds, len(final.registrations)))
        if final.registration is not None and self.request.ensemble is not None:
            make_ensemble(store, logger, context, self.request.ensemble, self.listener)
        self.study.mark_finalized()
        return final

    def _import_others(self, diagnoser: Diagnoser, results: _Results) -> None:
        """Add the trials of other drivers, for a diagnosis of the whole search."""
        if space := self.study.space():
            self.logger.add_file(names.SPACE_FILE, as_json_bytes(space))
        known = {trial.number for trial, _ in results}
        for trial, result in self.logger.import_trials(known):
            diagnoser.diagnose(trial, result)
            results.append((trial, result))
