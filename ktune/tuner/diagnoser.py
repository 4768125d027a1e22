"""Give every trial its verdict while the search runs, and once more at its end."""

from collections.abc import Mapping
from dataclasses import replace

from ktune.data.dataset import Dataset
from ktune.diagnosis import (
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
from ktune.evaluation.context import SearchContext
from ktune.metrics.intervals import Estimate
from ktune.trial import Trial, TrialResult


class Diagnoser:
    """Diagnoses the trials of a search, each in the light of those before it.

    Args:
        context: Task and objective of the search.
        class_names: In the order of class numbers.
        references: What simple models reach, and facts about the data.
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
        )
        self._views: list[TrialView] = []
        self._best_score: float | None = None
        self._said: dict[int, Diagnosis] = {}

    def judge(self, trial: Trial, result: TrialResult) -> Diagnosis:
        """Return the diagnosis of a trial that has just ended."""
        # Predictions are read now and not kept: over a search they would add up.
        view = TrialView(trial, replace(result, out_of_fold=b""), self._context)
        self._views.append(view)
        self._note_score(view)
        context = replace(self._context, best_score=self._best_score)
        diagnosis = diagnose_trial(TrialView(trial, result, context))
        self._said[trial.number] = diagnosis
        return diagnosis

    def _note_score(self, view: TrialView) -> None:
        """Keep the best score: to look for it among all takes longer each time."""
        score = skill_of(view) if view.result.is_complete else None
        if score is not None and (self._best_score is None or score > self._best_score):
            self._best_score = score

    def judge_search(self, test: Mapping[str, Estimate]) -> SearchDiagnosis:
        """Return the diagnosis of the whole search, its trials in its light.

        Args:
            test: Scores of the refitted best trial on the untouched test set.
        """
        return diagnose_search(SearchView(self._views, self._context, test=test))

    def changed(self, found: SearchDiagnosis) -> dict[int, Diagnosis]:
        """Return the trials whose verdict is another one now."""
        return {
            number: diagnosis
            for number, diagnosis in found.trials.items()
            if diagnosis.verdict is not self._said[number].verdict
        }


def look_at_data(context: SearchContext, dataset: Dataset) -> References:
    """Measure what trials will be compared with; it takes seconds."""
    return measure_references(
        dataset,
        context.partition,
        context.folds,
        context.recorded_metrics,
        seed=context.experiment.seed,
    )
