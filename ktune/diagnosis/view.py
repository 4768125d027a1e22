"""The input of the rules: frozen views of plain data.

All views can be restored from MLflow: ``trial.json`` of a trial contains its `Trial`
and `TrialResult`, ``out_of_fold.npz`` the bytes of ``TrialResult.out_of_fold``, and
the parent run the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis.rule import NotApplicable
from ktune.metrics.intervals import Estimate
from ktune.metrics.ranking import Goal, rank_results
from ktune.metrics.scores import Objective
from ktune.trial import Trial, TrialResult, TrialState, Value


@dataclass(frozen=True)
class Baselines:
    """Scores of simple models on the validation rows, as means over the folds.

    Attributes:
        constant: Metric to score of the best constant prediction.
        linear: Of a logistic or ridge regression; empty: not measured.
        trees: Of a small forest of extremely randomised trees; empty: not measured.
    """

    constant: Mapping[str, float] = field(default_factory=dict)
    linear: Mapping[str, float] = field(default_factory=dict)
    trees: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DataFacts:
    """Facts about the data that may explain a score.

    Attributes:
        best_feature: Name of the most predictive single feature; "" if unknown.
        best_feature_score: Its cross-validated skill, 0 (none) … 1 (perfect).
        duplicates_in_folds: Share of validation rows with an equal row, target
            included, among the training rows of their fold. None: unknown.
        duplicates_in_test: Share of test rows with an equal row among all other rows.
    """

    best_feature: str = ""
    best_feature_score: float | None = None
    duplicates_in_folds: float | None = None
    duplicates_in_test: float | None = None


@dataclass(frozen=True)
class Context:
    """The data that all trials of a search share.

    Attributes:
        objective: The first objective.
        task: Task of the data.
        class_names: In the order of class numbers; empty for regression.
        baselines: Scores of simple models on the same folds; None: not measured.
        facts: Facts about the data; None: not measured.
        best_score: Best validation mean of the yardstick (see `yardstick`) over all
            trials of the search; None: unknown.
        further: The other objectives.
        pick: The rule that selects a trial from the Pareto front.
        tie_breaker: Metric that selects one of several tied trials; "": none.
    """

    objective: Objective
    task: Task
    class_names: tuple[str, ...] = ()
    baselines: Baselines | None = None
    facts: DataFacts | None = None
    best_score: float | None = None
    further: tuple[Objective, ...] = ()
    pick: str = "best"
    tie_breaker: str = ""

    @property
    def goal(self) -> Goal:
        """All objectives, and the rule that selects one trial."""
        return Goal((self.objective, *self.further), self.pick, self.tie_breaker)


@dataclass(frozen=True)
class TrialView:
    """A trial with its result and context."""

    trial: Trial
    result: TrialResult
    context: Context

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.trial.number

    @property
    def has_scores(self) -> bool:
        """Whether at least one epoch was scored."""
        return self.result.state is not TrialState.FAILED and bool(self.result.folds)

    def curve(self, name: str) -> np.ndarray | None:
        """Return a curve, shape (n_folds, n_epochs); None if it was not recorded."""
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
        is_log: Whether the sampling is logarithmic.
        choices: The values of a choice, in the declared order.
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
        """Number of values; infinite for a continuous parameter."""
        if self.low is None or self.high is None:
            return len(self.choices)
        if self.step is None or self.is_log:
            return float("inf")
        return int((self.high - self.low) / self.step + 1e-9) + 1


@dataclass(frozen=True)
class SearchView:
    """A search with its trials, context, space and test scores.

    Attributes:
        trials: In the order of their numbers.
        context: The context of all trials.
        space: Parameter name to range; empty: unknown.
        test: Metric to test score of the refitted best trial; empty: no test set, or
            not measured yet.
    """

    trials: Sequence[TrialView]
    context: Context
    space: Mapping[str, ParameterView] = field(default_factory=dict)
    test: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def complete(self) -> list[TrialView]:
        """The trials that were neither pruned nor failed."""
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


def require_scores(view: TrialView) -> None:
    """Refuse trials without any scored epoch.

    Raises:
        NotApplicable: The trial failed.
    """
    if not view.has_scores:
        raise NotApplicable("the trial failed before anything could be measured")
