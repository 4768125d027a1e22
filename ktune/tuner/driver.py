"""One process at work on a search, from the first trial left to the last word."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ktune.diagnosis import diagnosis_as_dict
from ktune.diagnosis.references import references_as_dict
from ktune.errors import SearchAborted, ServerUnavailable
from ktune.evaluation.evaluate import work_with
from ktune.evaluation.refit import Refit
from ktune.executors import make_executor
from ktune.listener import Listener
from ktune.models.registry.card import write_card
from ktune.protocols import Searcher
from ktune.searchers import make_searcher
from ktune.searchers.driven_study import DrivenStudy
from ktune.tracking import names
from ktune.tracking.connectivity import is_unavailable
from ktune.tracking.model_registry import Registration
from ktune.tracking.reader import find_search
from ktune.tracking.records import as_json_bytes
from ktune.tracking.search_logger import SearchLogger
from ktune.tracking.store import Store
from ktune.trial import Trial, TrialResult
from ktune.tuner.diagnoser import Diagnoser, look_at_data
from ktune.tuner.finalize import finalize, make_ensemble, refit_best
from ktune.tuner.loop import LoopOutcome, SearchLoop
from ktune.tuner.preflight import Preflight
from ktune.tuner.request import Request
from ktune.tuner.result import SearchResult, result_of
from ktune.tuner.resume import telling_how_to_go_on
from ktune.utils.interrupts import shielded

_LEFT_TO_OTHERS = (
    "Other drivers are still at work, or have closed the search: the last one refits "
    "and registers its best trial."
)


@dataclass(frozen=True, eq=False)
class Driver:
    """What one process needs to drive a search.

    Attributes:
        store: Where the search is recorded.
        logger: Its writer.
        study: The state of the searcher.
        request: What is asked for.
        ready: Data, folds and model, checked.
        listener: Is told of progress.
    """

    store: Store
    logger: SearchLogger
    study: DrivenStudy
    request: Request
    ready: Preflight
    listener: Listener

    def drive(self) -> SearchResult:
        """Search; if the server of the store is gone at the end, say how to go on."""
        command = self.request.resume_command(self.logger.run_id)
        with telling_how_to_go_on(
            self.store, self.logger, command, self.listener.on_note
        ):
            return self._drive()

    def _drive(self) -> SearchResult:
        """Go through trials and closing; whatever happens, leave the books ended."""
        status, reason = "FAILED", "an error"
        try:
            diagnoser = self._appoint_judge()
            self._introduce()
            outcome, results = self._run_trials(diagnoser)
            status = "KILLED" if outcome.is_interrupted else "FINISHED"
            reason = outcome.reason
            self._flush(outcome)
            fitted, registration = self._close(diagnoser, outcome, results)
        except KeyboardInterrupt:
            status, reason = "KILLED", "interrupted"
            raise
        except SearchAborted:
            reason = "the first trials all failed for the same reason"
            raise
        except Exception as error:
            if is_unavailable(error):
                status, reason = "KILLED", "the MLflow server went away"
            raise
        finally:
            with shielded():
                self.study.leave(
                    lambda: self.logger.finish(status=status, reason=reason)
                )
        view = find_search(self.store, self.logger.run_id)
        return result_of(
            self.store, view, outcome=outcome, fitted=fitted, registration=registration
        )

    def _appoint_judge(self) -> Diagnoser:
        """Measure what trials are compared with, and record it."""
        ready = self.ready
        self.listener.on_phase("measuring simple models on the folds")
        references = look_at_data(ready.context, ready.dataset)
        self.logger.log_references(
            references_as_dict(references), ready.context.objective.metric
        )
        return Diagnoser(ready.context, tuple(ready.dataset.class_names), references)

    def _introduce(self) -> None:
        """Tell what is going to be searched, and who else is at it."""
        context, listener = self.ready.context, self.listener
        listener.on_search_start(
            context.experiment, context.objective, self.logger.run_id
        )
        for note in self.ready.notes:
            listener.on_note(note)
        if places := self.study.other_addresses():
            listener.on_note(f"Other drivers on this search: {', '.join(places)}")

    def _run_trials(
        self, diagnoser: Diagnoser
    ) -> tuple[LoopOutcome, list[tuple[Trial, TrialResult]]]:
        experiment, past = self.ready.context.experiment, self.request.past
        searcher = self._make_searcher()
        results = list(past.results.values()) if past else []
        for trial, result in results:
            diagnoser.judge(trial, result)

        def track(trial: Trial, result: TrialResult) -> None:
            if result.batch_size:  # who trains it again does so as it went at last
                trial = replace(trial, batch_size=result.batch_size)
            diagnosis = diagnoser.judge(trial, result)
            found = diagnosis_as_dict(diagnosis)
            self.logger.track(trial, result, diagnosis.verdict, found)
            # Predictions stand in MLflow now; keeping them here would add up.
            results.append((trial, replace(result, out_of_fold=b"")))

        loop = SearchLoop(
            searcher,
            make_executor(experiment, work_with(self.ready.context)),
            track=track,
            listener=self.listener,
            trials=experiment.trials,
            timeout=experiment.timeout_seconds,
            trial_timeout=experiment.trial_timeout_seconds,
            outcome=self._outcome_so_far(),
            other_drivers=self.study,
        )
        return loop.run(), results

    def _make_searcher(self) -> Searcher:
        context = self.ready.context
        with self.study.lock():
            return make_searcher(
                context.experiment,
                context.builder.declare,
                goal=context.goal,
                path=self.study,
                epochs=context.builder.settings(self.ready.defaults).epochs,
                start_from=context.experiment.start_from,
                find_result=self._find_result(),
            )

    def _find_result(self) -> Callable[[int], TrialResult | None] | None:
        """Return what finds a trial that MLflow holds though nobody was told."""
        if self.study.is_shared:  # others may die at any time
            return self.logger.recover
        return self.request.past.find_result if self.request.past else None

    def _outcome_so_far(self) -> LoopOutcome:
        past = self.request.past
        if past is None or self.study.is_shared:  # there it counts as done by others
            return LoopOutcome()
        return LoopOutcome(finished=past.n_finished, asked=len(past.results))

    def _flush(self, outcome: LoopOutcome) -> None:
        """Write what waits for a server that was away; an interrupt goes first."""
        try:
            self.logger.flush()
        except ServerUnavailable:
            if outcome.is_interrupted:
                raise KeyboardInterrupt from None
            raise

    def _close(
        self,
        diagnoser: Diagnoser,
        outcome: LoopOutcome,
        results: list[tuple[Trial, TrialResult]],
    ) -> tuple[Refit | None, Registration | None]:
        """Refit, register and report, if this driver is the one to do it."""
        store, logger, ready = self.store, self.logger, self.ready
        if outcome.is_interrupted:
            if not self.study.is_shared:
                with shielded():
                    finalize(store, logger, diagnoser, None, self.listener)
            return None, None
        if not self.study.try_finalize():
            self.listener.on_note(_LEFT_TO_OTHERS)
            return None, None
        self._take_in_others(diagnoser, results)
        fitted, registration = refit_best(store, logger, ready, results, self.listener)
        finalize(store, logger, diagnoser, fitted, self.listener)
        if registration is not None:
            write_card(store, registration.name, registration.version)
            if self.request.ensemble is not None:
                make_ensemble(
                    store, logger, ready, self.request.ensemble, self.listener
                )
        self.study.mark_finalized()
        return fitted, registration

    def _take_in_others(
        self, diagnoser: Diagnoser, results: list[tuple[Trial, TrialResult]]
    ) -> None:
        """Add what other drivers have done, to judge the search by all its trials."""
        if space := self.study.space():
            self.logger.add_file(names.SPACE_FILE, as_json_bytes(space))
        known = {trial.number for trial, _ in results}
        for trial, result in self.logger.import_trials(known):
            diagnoser.judge(trial, result)
            results.append((trial, result))
