"""What the rules look at: frozen views of plain data.

Everything here can be rebuilt from what MLflow holds: a trial's ``trial.json`` gives
its `Trial` and `TrialResult`, ``out_of_fold.npz`` the bytes of
``TrialResult.out_of_fold``, and the parent run the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ktune.data.dataset import Task
from ktune.metrics.intervals import Estimate
from ktune.metrics.ranking import Goal, rank_results
from ktune.metrics.scores import Objective
from ktune.trial import Trial, TrialResult, TrialState, Value


@dataclass(frozen=True)
class Baselines:
    """What simple models reach on the validation rows, as means over the folds.

    Attributes:
        constant: Metric to score of the best constant prediction.
        linear: Of a logistic or ridge regression; empty: not measured.
        trees: Of a small forest of randomised trees; empty: not measured.
    """

    constant: Mapping[str, float] = field(default_factory=dict)
    linear: Mapping[str, float] = field(default_factory=dict)
    trees: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data themselves and may explain a score.

    Attributes:
        best_feature: Name of the feature that predicts best alone; "" if unknown.
        best_feature_score: Its cross-validated skill, 0 (none) … 1 (perfect).
        duplicates_in_folds: Share of validation rows with an equal row, target
            included, among the training rows of their fold. None: unknown.
        duplicates_in_test: Share of test rows with an equal row among the others.
    """

    best_feature: str = ""
    best_feature_score: float | None = None
    duplicates_in_folds: float | None = None
    duplicates_in_test: float | None = None


@dataclass(frozen=True)
class Context:
    """What all trials of a search have in common.

    Attributes:
        objective: What trials are judged by.
        task: What is predicted.
        class_names: In the order of class numbers; empty for regression.
        baselines: Of simple models on the same folds; None: not measured.
        facts: About the data; None: not looked at.
        best_score: Best validation mean of the yardstick (see `measures`) any trial
            of the search has reached; None: nothing to compare with yet.
        further: Objectives beside the leading one.
        pick: Which trial of a Pareto front is taken.
    """

    objective: Objective
    task: Task
    class_names: tuple[str, ...] = ()
    baselines: Baselines | None = None
    facts: DataFacts | None = None
    best_score: float | None = None
    further: tuple[Objective, ...] = ()
    pick: str = "best"

    @property
    def goal(self) -> Goal:
        """All objectives, and how one trial is taken."""
        return Goal((self.objective, *self.further), self.pick)


@dataclass(frozen=True)
class TrialView:
    """One trial as the rules see it."""

    trial: Trial
    result: TrialResult
    context: Context

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.trial.number

    @property
    def has_scores(self) -> bool:
        """Whether there is anything to judge: at least one epoch was scored."""
        return self.result.state is not TrialState.FAILED and bool(self.result.folds)

    def curve(self, name: str) -> np.ndarray | None:
        """Return a curve, shape (n_folds, n_epochs); None when it was not kept."""
        folds = self.result.curves.get(name)
        return None if not folds else np.array(folds, dtype=np.float64)

    def scores(self, metric: str, side: str) -> np.ndarray:
        """Return a metric of each fold at the best epoch, NaN where undefined."""
        return np.array(
            [getattr(fold, side).get(metric, np.nan) for fold in self.result.folds]
        )


@dataclass(frozen=True)
class ParameterView:
    """The range of one hyperparameter.

    Attributes:
        name: As in ``Trial.values``.
        low: Smallest value; None for a choice.
        high: Largest value; None for a choice.
        is_log: Whether it is searched on a logarithmic scale.
        choices: The values of a choice, in the order declared.
        step: Distance of neighbouring values; None: continuous.
    """

    name: str
    low: float | None = None
    high: float | None = None
    is_log: bool = False
    choices: tuple[Value, ...] = ()
    step: float | None = None

    @property
    def n_values(self) -> float:
        """How many values there are; infinite for a continuum."""
        if self.low is None or self.high is None:
            return len(self.choices)
        if self.step is None or self.is_log:
            return float("inf")
        return int((self.high - self.low) / self.step + 1e-9) + 1


@dataclass(frozen=True)
class SearchView:
    """A whole search as the rules see it.

    Attributes:
        trials: In the order of their numbers.
        context: What they have in common.
        space: Parameter name to range; empty: not known.
        test: Metric to score of the refitted best trial on the test set; empty:
            there is none, or it was not measured yet.
    """

    trials: Sequence[TrialView]
    context: Context
    space: Mapping[str, ParameterView] = field(default_factory=dict)
    test: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def complete(self) -> list[TrialView]:
        """The trials that ran to their end."""
        return [view for view in self.trials if view.result.is_complete]

    @property
    def ranked(self) -> list[TrialView]:
        """Trials with scores, complete ones first, best first."""
        by_number = {view.number: view for view in self.trials}
        pairs = ((view.trial, view.result) for view in self.trials)
        ranked = rank_results(pairs, self.context.goal)
        return [by_number[trial.number] for trial, _ in ranked]

    @property
    def best(self) -> TrialView | None:
        """The best complete trial."""
        ranked = self.ranked
        return ranked[0] if ranked and ranked[0].result.is_complete else None
