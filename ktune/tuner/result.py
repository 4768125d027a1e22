"""The result of a search, for Python and notebooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from ktune.errors import UnknownReference
from ktune.metrics.intervals import Estimate
from ktune.metrics.ranking import Goal
from ktune.metrics.scores import COSTS, Objective
from ktune.models.registry.registration import load_keras_model
from ktune.tracking import names
from ktune.tracking.artifacts import read_file
from ktune.tracking.final_record import FinalRecord
from ktune.tracking.model_registry import (
    Registration,
    find_version,
    version_of_trial,
)
from ktune.tracking.reader import (
    RunView,
    list_trials,
    rank_trials,
    read_trial,
    read_values,
)
from ktune.tracking.refit_record import RefitRecord, refit_of
from ktune.tracking.store import Store
from ktune.trial import TrialResult
from ktune.utils.html_page import HtmlPage
from ktune.utils.text import count_of

if TYPE_CHECKING:  # reading a search must not import Keras
    from ktune.evaluation.refit import Refit
    from ktune.tuner.loop import LoopOutcome

_SIDES = ("val_", "train_")


@dataclass(frozen=True, eq=False)
class BestTrial:
    """The best complete trial of a search.

    Attributes:
        number: Number of the trial.
        run_id: Its MLflow run.
        values: Its hyperparameters.
        score: Mean of the objective over the folds at the best epoch.
        result: Its full result, without predictions.
    """

    number: int
    run_id: str
    values: Mapping[str, Any]
    score: float
    result: TrialResult


class SearchResult:
    """A finished search in MLflow.

    Args:
        store: Its store.
        view: Its parent run.
        outcome: Outcome of the loop; None for a loaded search.
        fitted: The final model; None: loaded from the registry on demand.
        registration: The registered version; None: looked up on demand.
    """

    def __init__(
        self,
        store: Store,
        view: RunView,
        *,
        outcome: "LoopOutcome | None" = None,
        fitted: "Refit | None" = None,
        registration: Registration | None = None,
    ) -> None:
        self.store = store
        self.view = view
        self.outcome = outcome
        self._fitted = fitted
        self._registration = registration

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.view.experiment

    @property
    def run_id(self) -> str:
        """MLflow run of the search."""
        return self.view.run_id

    @property
    def objective(self) -> Objective:
        """The objective; the first of several."""
        return self.view.objective

    @property
    def goal(self) -> Goal:
        """All objectives, and the rule that picks a trial of the Pareto front."""
        return self.view.goal

    @cached_property
    def trial_runs(self) -> list[RunView]:
        """The trials as MLflow runs, best first."""
        return rank_trials(list_trials(self.store, self.view), self.goal)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial, in order of their numbers.

        Columns: ``trial``, ``state``, ``verdict``, one column per hyperparameter,
        ``val_…`` and ``train_…`` (fold means at the best epoch), ``epochs``,
        ``seconds``, ``n_parameters``, ``latency_ms`` if it was measured,
        ``is_on_front`` if there are several objectives, ``run_id``.
        """
        runs = sorted(self.trial_runs, key=lambda run: run.number)
        return pd.DataFrame([_row(self.store, run, self.goal) for run in runs])

    @cached_property
    def best(self) -> BestTrial:
        """The best complete trial.

        Raises:
            UnknownReference: No trial is complete.
        """
        if not self.trial_runs or self.trial_runs[0].state != "complete":
            raise UnknownReference("no trial of this search is complete")
        run = self.trial_runs[0]
        trial, result = read_trial(self.store, run)
        assert result.score is not None
        return BestTrial(trial.number, run.run_id, trial.values, result.score, result)

    @cached_property
    def model(self) -> Any:
        """The final Keras model, trained on all rows except the test rows."""
        if self._fitted is not None:
            return self._fitted.model
        return load_keras_model(self.store, self._version_or_raise())

    @cached_property
    def single_model(self) -> Any:
        """The best trial alone, beside an average; else the final model."""
        final = self.final
        if final is None or final.single_version is None:
            return self.model
        name, number = self._version_or_raise().name, final.single_version
        version = find_version(self.store, name, number)
        if version is None:
            raise UnknownReference(f"version {number} of {name} was deleted")
        return load_keras_model(self.store, version)

    @cached_property
    def refit(self) -> RefitRecord:
        """The trial that was refitted, which may not be the best one any more."""
        return refit_of(self.view, self.trial_runs)

    @property
    def test(self) -> dict[str, Estimate]:
        """Test scores of the final model; {} without one (see `refit`)."""
        return dict(self.refit.test)

    @property
    def final(self) -> FinalRecord | None:
        """The final model: an average, or the best trial and the reason for it.

        None: an average was not considered.
        """
        return self.refit.final

    @cached_property
    def registration(self) -> Registration | None:
        """The registered version of the final model, if any."""
        if self._registration is not None or self.refit.best is None:
            return self._registration
        if version := self.refit.version_of_average:
            return find_version(self.store, *version)
        return version_of_trial(self.store, self.refit.best.run_id)

    def report(self) -> HtmlPage:
        """Return the report of the search; a notebook shows it inline.

        Raises:
            StoreError: There is no report, as the search was interrupted.
        """
        content = read_file(self.store, self.run_id, names.REPORT_FILE)
        return HtmlPage(content.decode())

    def _version_or_raise(self) -> Registration:
        if self.registration is None:
            reason = self.refit.problem or "It has registered no model"
            raise UnknownReference(f"search {self.run_id[:8]} has no model: {reason}")
        return self.registration

    def __repr__(self) -> str:
        return (
            f"<SearchResult {self.name!r} {self.run_id[:8]}: "
            f"{count_of(len(self.trial_runs), 'trial')}>"
        )


def result_of(store: Store, view: RunView, **found: Any) -> SearchResult:
    """Return the result of a search in MLflow."""
    return SearchResult(store, view, **found)


def _row(store: Store, run: RunView, goal: Goal) -> dict[str, Any]:
    scores = {
        name: value
        for name, value in run.metrics.items()
        if name.startswith(_SIDES) and not name.endswith("_std")
    }
    deviations = {n: v for n, v in run.metrics.items() if n.endswith("_std")}
    return {
        "trial": run.number,
        "state": run.state,
        "verdict": run.tags.get(names.VERDICT),
        **read_values(store, run),
        **dict(sorted(scores.items(), reverse=True)),
        **deviations,
        "epochs": run.metrics.get("epochs"),
        "seconds": run.metrics.get("fit_seconds"),
        **{cost: run.metrics[cost] for cost in COSTS if cost in run.metrics},
        **({} if goal.is_single else {"is_on_front": run.is_on_front}),
        "run_id": run.run_id,
    }
