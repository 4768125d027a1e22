"""Diagnose every trial during the search, and all trials again at its end."""

from collections.abc import Mapping
from dataclasses import replace

from ktune.data.dataset import Dataset, Task
from ktune.diagnosis import (
    Baselines,
    Context,
    Diagnosis,
    SearchDiagnosis,
    SearchView,
    TrialView,
    diagnose_search,
    diagnose_trial,
)
from ktune.diagnosis.references import References, measure_references
from ktune.diagnosis.verdict import skill_of
from ktune.evaluation.constant_loss import constant_loss
from ktune.evaluation.context import SearchContext
from ktune.metrics.intervals import Estimate
from ktune.metrics.scores import LOSS
from ktune.trial import Trial, TrialResult


class Diagnoser:
    """Diagnoses the trials of a search, each by comparison with those before it.

    Args:
        context: Context of the search.
        class_names: In the order of class numbers.
        references: Scores of simple models, and facts about the data.
    """

    def __init__(
        self,
        context: SearchContext,
        class_names: tuple[str, ...],
        references: References,
    ) -> None:
        self._context = Context(
            objective=context.objective,
            task=context.data.task,
            class_names=class_names,
            baselines=references.baselines,
            facts=references.facts,
            further=context.goal.objectives[1:],
            pick=context.goal.pick,
            tie_breaker=context.goal.tie_breaker,
        )
        self._views: list[TrialView] = []
        self._best_score: float | None = None
        self._diagnoses: dict[int, Diagnosis] = {}

    def diagnose(self, trial: Trial, result: TrialResult) -> Diagnosis:
        """Return the diagnosis of a finished trial."""
        # Predictions are used now and not kept: over a search they would add up.
        view = TrialView(trial, replace(result, out_of_fold=b""), self._context)
        self._views.append(view)
        self._update_best_score(view)
        context = replace(self._context, best_score=self._best_score)
        diagnosis = diagnose_trial(TrialView(trial, result, context))
        self._diagnoses[trial.number] = diagnosis
        return diagnosis

    def _update_best_score(self, view: TrialView) -> None:
        """Update the best score, as a search through all trials gets slower."""
        score = skill_of(view) if view.result.is_complete else None
        if score is not None and (self._best_score is None or score > self._best_score):
            self._best_score = score

    def diagnose_search(self, test: Mapping[str, Estimate]) -> SearchDiagnosis:
        """Return the diagnosis of the search, with diagnoses of all its trials.

        Args:
            test: Scores of the refitted best trial on the untouched test set.
        """
        return diagnose_search(SearchView(self._views, self._context, test=test))

    def changed_verdicts(self, final: SearchDiagnosis) -> dict[int, Diagnosis]:
        """Return the diagnoses of trials whose verdict has changed."""
        return {
            number: diagnosis
            for number, diagnosis in final.trials.items()
            if diagnosis.verdict is not self._diagnoses[number].verdict
        }


def measure_search_references(context: SearchContext, dataset: Dataset) -> References:
    """Measure the references of a search: simple models on its folds."""
    references = measure_references(
        dataset,
        context.partition,
        context.folds,
        context.recorded_metrics,
        seed=context.experiment.seed,
    )
    if dataset.task is not Task.CUSTOM:
        return references
    loss = constant_loss(context)
    constant = {} if loss is None else {LOSS: loss}
    return replace(references, baselines=Baselines(constant=constant))
