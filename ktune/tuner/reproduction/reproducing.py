"""Run a trial, or the best trial of a search and its refit, again."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ktune.data.dataset import count_rows, take_rows
from ktune.data.nest import flat_numbers
from ktune.errors import ExperimentError, StoreError
from ktune.evaluation.context import SearchContext
from ktune.evaluation.evaluate import work_with
from ktune.evaluation.recorded import rebuild
from ktune.evaluation.recorded_refit import refit_recorded
from ktune.evaluation.recorded_search import open_search
from ktune.evaluation.refit import Refit, predict
from ktune.executors import make_executor
from ktune.experiment.environment import read_environment
from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.metrics.intervals import Estimate
from ktune.metrics.threshold import Threshold
from ktune.models.ensembles.members import MemberTrainer
from ktune.models.registry.registration import load_served_model
from ktune.tracking import names
from ktune.tracking.artifacts import read_file
from ktune.tracking.model_files import predict_rows
from ktune.tracking.model_registry import (
    Registration,
    find_version,
    version_of_trial,
)
from ktune.tracking.reader import RunView, read_trial
from ktune.tracking.refit_record import RefitRecord
from ktune.tracking.store import Store
from ktune.trainers import TRAINERS
from ktune.trial import EpochReport, TrialResult, TrialState
from ktune.tuner.reproduction.changes import Change, find_changes
from ktune.tuner.reproduction.comparison import (
    RunComparison,
    Sameness,
    compare_numbers,
    compare_results,
    overall,
)

TOLERANCE = 1e-3
"""Differences up to this are "within tolerance"."""

_COMPARED_ROWS = 1000


@dataclass(frozen=True)
class Reproduction:
    """Result of running a trial again.

    Attributes:
        run_id: The reproduced run.
        subject: Description of the run for the user.
        tolerance: Largest difference "within tolerance".
        comparisons: One per metric, and one each for curves and predictions.
        changes: Differences from the recorded state.
        note: Why the refit is not compared; "" if it is, or none was asked for.
    """

    run_id: str
    subject: str
    tolerance: float
    comparisons: tuple[RunComparison, ...]
    changes: tuple[Change, ...]
    note: str = ""

    @property
    def sameness(self) -> Sameness:
        """The least sameness of all comparisons."""
        return overall(self.comparisons)

    @property
    def conclusion(self) -> str:
        """The conclusion as a sentence."""
        causes = [change for change in self.changes if change.matters]
        if self.sameness is Sameness.IDENTICAL:
            return f"{self.subject}: identical, bit for bit."
        result = f"{self.subject}: {self.sameness}"
        if self.sameness is Sameness.CLOSE:
            result += f" of {self.tolerance:g}"
        if self.sameness is Sameness.CLOSE and _are_of_sums(causes):
            return (
                f"{result}. The differences are of the kind that another processor or "
                "number of threads makes: convolutions, batch normalization and "
                "products of large matrices then add in another order."
            )
        if causes:
            return f"{result}. The changes are listed above."
        return (
            f"{result}, although nothing recorded has changed. Some random numbers do "
            "not depend on the seed (in a layer, callback or data function of yours, "
            "or in a search with --fast)."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            **asdict(self),
            "changes": tuple(change.as_dict() for change in self.changes),
            "sameness": self.sameness,
            "conclusion": self.conclusion,
        }


def reproduce(
    reference: str = "best",
    *,
    experiment: Experiment | None = None,
    tolerance: float = TOLERANCE,
    tracking_uri: str | None = None,
    listener: Listener | None = None,
) -> Reproduction:
    """Run a trial again from its records in MLflow, and compare all numbers.

    The recorded source is run on the recorded folds with the recorded seeds; the
    working copy may have changed or been deleted.

    Args:
        reference: A trial; or a search, for its best trial and its refit.
        experiment: Replaces the recorded source for a search that was started from
            Python, which has none.
        tolerance: Largest difference "within tolerance"; relative to the recorded
            value if that exceeds one.
        tracking_uri: Address of MLflow's store; see `ktune.search`.
        listener: Receives progress messages.

    Returns:
        The comparison of all metrics, and the changes since the search.

    Raises:
        KtuneError: The run, its source or its data are not available.
    """
    if not tolerance >= 0:
        raise ExperimentError(f"the tolerance must be at least 0; got {tolerance}")
    listener = listener or Listener()
    with open_search(reference, tracking_uri) as opened:
        listener.on_phase("rebuilding data and folds as recorded")
        run, trial_run = opened.run, opened.trial_run
        recorded = opened.read(trial_run.number)
        with rebuild(recorded, experiment=experiment) as rebuilt:
            work = _ReproductionWork(opened.store, rebuilt.context, tolerance, listener)
            comparisons = work.run_again(trial_run)
            refit = opened.refit if run.is_search else None
            if refit is not None and refit.is_of_best:
                comparisons += work.refit_again(opened.search, trial_run, refit)
            changes = find_changes(recorded, rebuilt, read_environment())
    return Reproduction(
        run_id=run.run_id,
        subject=_subject(trial_run, refit),
        tolerance=tolerance,
        comparisons=tuple(comparisons),
        changes=tuple(changes),
        note=refit.problem if refit is not None else "",
    )


def _subject(trial_run: RunView, refit: RefitRecord | None) -> str:
    subject = f"trial {trial_run.number} of {trial_run.experiment!r}"
    if refit is None or not refit.is_of_best:
        return subject
    if refit.has_average:
        return f"{subject}, its refit and the average"
    return f"{subject} and its refit"


@dataclass(frozen=True, eq=False)
class _ReproductionWork:
    """Runs the trials and refits of a recorded search again."""

    store: Store
    context: SearchContext
    tolerance: float
    listener: Listener

    def run_again(self, run: RunView) -> list[RunComparison]:
        """Evaluate a trial again, with its trainer and its executor.

        A worker process has fewer threads than this one, which changes the last bits
        of some operations, see `scripts/check_operations.py`.
        """
        trial, recorded = read_trial(self.store, run)
        self.listener.on_phase(f"training trial {trial.number} again")
        changes = _changes_to_run_here(self.context.experiment)
        if recorded.trainer in TRAINERS:
            changes["trainer"] = recorded.trainer
        context = self.context.with_changes(changes)
        executor = make_executor(context.experiment, work_with(context))
        try:
            executor.submit(trial)
            _, again = executor.wait(_stop_where(recorded))
        finally:
            executor.close()
        if recorded.is_complete and again.state is TrialState.PRUNED:
            again = replace(again, state=TrialState.COMPLETE)  # stopped by `timeout`
        recorded = replace(recorded, out_of_fold=self._predictions(run))
        return compare_results(recorded, again, tolerance=self.tolerance)

    def _predictions(self, run: RunView) -> bytes:
        try:
            return read_file(self.store, run.run_id, names.OUT_OF_FOLD_FILE)
        except StoreError:
            return b""  # a failed trial has none

    def refit_again(
        self, search: RunView, run: RunView, refit: RefitRecord
    ) -> list[RunComparison]:
        """Refit a search's best trial again; compare its test scores and outputs."""
        epochs = search.metrics.get("refit_epochs")
        if epochs is None:
            return []  # interrupted before the refit
        trial, _ = read_trial(self.store, run)
        self.listener.on_phase(f"refitting trial {trial.number} again")
        fitted = refit_recorded(
            self.store, self.context, trial, run.run_id, epochs=int(epochs)
        )
        comparisons = [
            *self._test_scores(refit.trial_test, fitted),
            *self._outputs(version_of_trial(self.store, run.run_id), fitted),
        ]
        if refit.has_average:
            comparisons += self._average_again(run, refit, fitted)
        return comparisons

    def _average_again(
        self, run: RunView, refit: RefitRecord, best: Refit
    ) -> Iterator[RunComparison]:
        """Train the members of the average again; compare scores and outputs."""
        assert refit.final is not None
        value = refit.search.metrics.get("threshold")
        known = {(run.run_id, 0): best.trained}
        trainer = MemberTrainer(self.store, self.context, self.listener, known)
        fitted = trainer.mean(
            refit.final.parts, None if value is None else Threshold(value)
        )
        version = refit.version_of_average
        registration = None if version is None else find_version(self.store, *version)
        yield from self._test_scores(refit.test, fitted, "average, ")
        yield from self._outputs(registration, fitted)

    def _test_scores(
        self, recorded: Mapping[str, Estimate], fitted: Refit, prefix: str = ""
    ) -> Iterator[RunComparison]:
        for name, estimate in fitted.test.items():
            before = recorded.get(name)
            yield compare_numbers(
                f"{prefix}test_{name}",
                [math.nan if before is None else before.value],
                [estimate.value],
                tolerance=self.tolerance,
            )

    def _outputs(
        self, registration: Registration | None, fitted: Refit
    ) -> Iterator[RunComparison]:
        """Compare with the outputs of the registered model for the same raw rows."""
        if registration is None:
            return
        x = self.context.partition.x_test
        x = self.context.partition.x if x is None else x
        rows = take_rows(x, np.arange(min(count_rows(x), _COMPARED_ROWS)))
        served = load_served_model(self.store, registration)
        yield compare_numbers(
            f"outputs of {registration.name}/{registration.version}",
            flat_numbers(predict_rows(served, rows)),
            flat_numbers(predict(fitted.model, fitted.preprocessing, rows)),
            tolerance=self.tolerance,
            shows_mean=False,
        )


def _changes_to_run_here(experiment: Experiment) -> dict[str, Any]:
    """Return changes to run a trial of a cluster in a process with equal threads."""
    if experiment.chosen_executor != "ray":
        return {}
    jobs = (os.cpu_count() or 1) // max(1, int(experiment.cpus))
    return {"executor": "processes", "ray_address": None, "jobs": max(1, jobs)}


def _are_of_sums(changes: Sequence[Change]) -> bool:
    return bool(changes) and all(change.reorders_sums for change in changes)


def _stop_where(recorded: TrialResult) -> Callable[[EpochReport], bool]:
    """Return a report function that stops a trial at its recorded epoch or fold."""

    def goes_on(report: EpochReport) -> bool:
        is_of_fold = report.unit == "fold"
        end = len(recorded.folds) if is_of_fold else recorded.epochs
        return report.epoch + 1 < end

    return (lambda report: True) if recorded.failure else goes_on
