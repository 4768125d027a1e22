"""Ranking of trials by one objective, or by several with a Pareto front.

With several objectives, the trials that are not dominated by another one form the
Pareto front. One of them is registered, by the rule `pick`:

| pick | the trial selected from the Pareto front |
|---|---|
| `one_standard_error` | of the trials within one standard error (over folds) of the \
best first objective, the one with the best second objective |
| `balanced` | the trial nearest to the ideal point, each objective scaled to 0 … 1 \
over the front |
| `best` | the trial with the best first objective |

With one objective, the trials within noise of the best score are tied: the mean
difference of their fold scores from the best is at most one standard error of these
differences. Of tied trials, the one with the best proper score (log loss or squared
error) comes first; of equal ones the smallest.

Source: one standard error, Breiman, Friedman, Olshen & Stone, Classification and
Regression Trees (1984), section 3.4.3; nearest to the ideal point, Miettinen, Nonlinear
Multiobjective Optimization (1999), section 2.2.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ktune.metrics.scores import Objective
from ktune.trial import Trial, TrialResult, TrialState

_ORDER = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


@dataclass(frozen=True)
class Goal:
    """The objectives of a search.

    Attributes:
        objectives: The first one also selects the best epoch.
        pick: The rule that selects a trial from the Pareto front.
        tie_breaker: Metric that selects one of several tied trials, less is better; "":
            the score decides alone, as in searches of earlier versions.
    """

    objectives: tuple[Objective, ...]
    pick: str = "best"
    tie_breaker: str = ""

    @property
    def first(self) -> Objective:
        """The first objective."""
        return self.objectives[0]

    @property
    def is_single(self) -> bool:
        """Whether there is only one objective."""
        return len(self.objectives) == 1


@dataclass(frozen=True)
class Standing:
    """The values of a trial that decide its rank.

    Attributes:
        number: Number of the trial.
        state: Final state of the trial.
        scores: Value of each objective; empty without a score.
        standard_error: Standard error of the first objective over the folds.
        folds: The first objective of every fold.
        tie_breakers: Proper score and number of weights; less is better.
    """

    number: int
    state: TrialState
    scores: tuple[float, ...] = ()
    standard_error: float = 0.0
    folds: tuple[float, ...] = ()
    tie_breakers: tuple[float, ...] = ()


def rank(standings: Sequence[Standing], goal: Goal) -> list[int]:
    """Return trial numbers, best first.

    Complete trials come before pruned and failed ones. With several objectives, the
    picked trial comes first, then the rest of the Pareto front. Otherwise the first
    objective decides, and the tie breaker among tied trials.

    Example:
        >>> goal = Goal((Objective("accuracy", "max"),))
        >>> trials = [
        ...     Standing(0, TrialState.PRUNED, (0.9,)),
        ...     Standing(1, TrialState.COMPLETE, (0.7,)),
        ...     Standing(2, TrialState.COMPLETE, (0.8,)),
        ... ]
        >>> rank(trials, goal)
        [2, 1, 0]
    """
    front = [] if goal.is_single else pareto_front(standings, goal.objectives)
    picked = pick_from_front(front, goal) if front else pick_of_tied(standings, goal)
    members = {standing.number for standing in front}
    sign = -1.0 if goal.first.direction == "max" else 1.0

    def place(standing: Standing) -> tuple[int, bool, bool, float]:
        first = sign * standing.scores[0] if standing.scores else math.inf
        return (
            _ORDER.index(standing.state),
            standing.number != picked,
            standing.number not in members,
            first,
        )

    return [standing.number for standing in sorted(standings, key=place)]


def pick_of_tied(standings: Sequence[Standing], goal: Goal) -> int | None:
    """Return the number of the best of several tied trials; None without any."""
    members = tied(standings, goal)
    if not members:
        return None
    return min(members, key=lambda standing: standing.tie_breakers).number


def tied(standings: Sequence[Standing], goal: Goal) -> list[Standing]:
    """Return the complete trials within noise of the best score, and the best itself.

    Empty: there are several objectives, or a trial lacks a value to break ties.

    Example:
        >>> goal = Goal((Objective("accuracy", "max"),), tie_breaker="log_loss")
        >>> done = TrialState.COMPLETE
        >>> trials = [
        ...     Standing(0, done, (0.90,), folds=(0.92, 0.88), tie_breakers=(0.3, 9)),
        ...     Standing(1, done, (0.89,), folds=(0.88, 0.90), tie_breakers=(0.2, 9)),
        ...     Standing(2, done, (0.80,), folds=(0.81, 0.79), tie_breakers=(0.1, 9)),
        ... ]
        >>> [trial.number for trial in tied(trials, goal)]
        [0, 1]
        >>> rank(trials, goal)
        [1, 0, 2]
    """
    if not (goal.is_single and goal.tie_breaker):
        return []
    complete = [
        standing
        for standing in standings
        if standing.state is TrialState.COMPLETE
        and standing.scores
        and standing.tie_breakers
    ]
    if not complete:
        return []
    sign = 1.0 if goal.first.direction == "max" else -1.0
    best = max(complete, key=lambda standing: sign * standing.scores[0])
    return [standing for standing in complete if _is_tied(standing, best)]


def _is_tied(standing: Standing, best: Standing) -> bool:
    if len(standing.folds) != len(best.folds) or not best.folds:
        return standing.scores[0] == best.scores[0]
    differences = np.subtract(best.folds, standing.folds)
    return abs(float(differences.mean())) <= standard_error(tuple(differences)) + 1e-12


def pareto_front(
    standings: Sequence[Standing], objectives: Sequence[Objective]
) -> list[Standing]:
    """Return the complete trials that no other trial dominates.

    Of equal trials only the first is returned.

    Example:
        >>> goals = [Objective("accuracy", "max"), Objective("n_parameters", "min")]
        >>> done = TrialState.COMPLETE
        >>> trials = [Standing(0, done, (0.9, 50)), Standing(1, done, (0.8, 60))]
        >>> [trial.number for trial in pareto_front(trials, goals)]
        [0]
    """
    complete = [
        standing
        for standing in standings
        if standing.state is TrialState.COMPLETE and standing.scores
    ]
    losses = _losses(complete, objectives)
    return [
        standing
        for position, standing in enumerate(complete)
        if not _is_beaten(losses, position)
    ]


def rank_results(
    results: Iterable[tuple[Trial, TrialResult]], goal: Goal
) -> list[tuple[Trial, TrialResult]]:
    """Return trials with a score, best first; see `rank`."""
    scored = {
        trial.number: (trial, result)
        for trial, result in results
        if result.score is not None
    }
    standings = [standing_of(*pair, goal) for pair in scored.values()]
    return [scored[number] for number in rank(standings, goal)]


def front_of_results(
    results: Iterable[tuple[Trial, TrialResult]], goal: Goal
) -> list[Standing]:
    """Return the Pareto front of trials with a score; see `pareto_front`."""
    standings = [standing_of(*pair, goal) for pair in results]
    return pareto_front(standings, goal.objectives)


def standing_of(trial: Trial, result: TrialResult, goal: Goal) -> Standing:
    """Return the standing of a trial.

    Args:
        trial: The evaluated trial.
        result: Its result; it has a score.
        goal: The objectives.
    """
    assert result.score is not None
    metric = goal.first.metric
    folds = tuple(
        fold.validation[metric] for fold in result.folds if metric in fold.validation
    )
    has_breaker = bool(result.folds) and goal.tie_breaker in result.folds[0].validation
    return Standing(
        number=trial.number,
        state=result.state,
        scores=result.scores or (result.score,),
        standard_error=standard_error(folds),
        folds=folds,
        tie_breakers=tie_breakers(
            result.mean(goal.tie_breaker) if has_breaker else None, result.n_parameters
        ),
    )


def tie_breakers(
    proper_score: float | None, n_parameters: float | None
) -> tuple[float, ...]:
    """Return the values that order tied trials; empty without a proper score."""
    if proper_score is None or math.isnan(proper_score):
        return ()
    return (proper_score, math.inf if n_parameters is None else n_parameters)


def standard_error(fold_scores: Sequence[float]) -> float:
    """Return the standard error of a mean over folds; 0 for fewer than two folds.

    Example:
        >>> round(standard_error([0.90, 0.92, 0.94, 0.96]), 4)
        0.0129
    """
    if len(fold_scores) < 2:
        return 0.0
    return float(np.std(fold_scores, ddof=1) / math.sqrt(len(fold_scores)))


def pick_from_front(front: Sequence[Standing], goal: Goal) -> int:
    """Return the number of the selected trial; see the table of this module."""
    losses = _losses(front, goal.objectives)
    best = int(losses[:, 0].argmin())
    if goal.pick == "best":
        return front[best].number
    if goal.pick == "balanced":
        return front[int(_distances(losses).argmin())].number
    limit = losses[best, 0] + front[best].standard_error
    second = np.where(losses[:, 0] <= limit, losses[:, 1], np.inf)
    return front[int(second.argmin())].number


def _is_beaten(losses: np.ndarray, position: int) -> bool:
    """Whether another trial dominates, or is equal and comes first."""
    is_as_good = (losses <= losses[position]).all(axis=1)
    is_better = is_as_good & (losses < losses[position]).any(axis=1)
    return bool(is_better.any() or is_as_good[:position].any())


def _losses(
    standings: Sequence[Standing], objectives: Sequence[Objective]
) -> np.ndarray:
    """Return scores with signs so that less is better, shape (trials, objectives)."""
    signs = [-1.0 if objective.direction == "max" else 1.0 for objective in objectives]
    scores = [standing.scores for standing in standings]
    return np.array(scores, dtype=float).reshape(-1, len(objectives)) * signs


def _distances(losses: np.ndarray) -> np.ndarray:
    """Return the distance of each trial from the ideal point."""
    least, most = losses.min(axis=0), losses.max(axis=0)
    spread = np.where(most > least, most - least, 1.0)
    return np.asarray(np.linalg.norm((losses - least) / spread, axis=1))
