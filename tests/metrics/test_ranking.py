from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.experiment.choices import PICKS
from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import (
    Goal,
    Standing,
    pareto_front,
    pick_from_front,
    rank,
    rank_results,
    tied,
)
from ktune.trial import Trial, TrialResult, TrialState

COMPLETE = TrialState.COMPLETE
ACCURACY_AND_SIZE = (make_objective("accuracy"), make_objective("n_parameters"))


def pair(number, score, state=TrialState.COMPLETE):
    return Trial(number, {}, 1), TrialResult(state, score=score)


@pytest.mark.parametrize(
    ("metric", "order"), [("accuracy", [2, 0, 3, 1]), ("loss", [0, 2, 1, 3])]
)
def test_complete_trials_rank_before_pruned_ones_and_failed_ones_not(metric, order):
    pairs = [
        pair(0, 0.5),
        pair(1, 0.0, TrialState.PRUNED),
        pair(2, 0.7),
        pair(3, 0.9, TrialState.PRUNED),
        pair(4, None, TrialState.FAILED),
    ]
    ranked = rank_results(pairs, Goal((make_objective(metric),)))
    assert [trial.number for trial, _ in ranked] == order


def standings(*scores, standard_error=0.0):
    return [
        Standing(number, COMPLETE, pair, standard_error)
        for number, pair in enumerate(scores)
    ]


scores_of_trials = st.lists(
    st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)),
    min_size=1,
    max_size=12,
)


def beats(a, b):
    """Whether a is no worse in accuracy and size, and better in one."""
    return a[0] >= b[0] and a[1] <= b[1] and a != b


@given(scores_of_trials)
def test_nothing_beats_a_member_of_the_front_and_all_else_is_beaten_or_repeated(scores):
    members = {s.number for s in pareto_front(standings(*scores), ACCURACY_AND_SIZE)}
    for number, score in enumerate(scores):
        is_beaten = any(beats(other, score) for other in scores)
        is_repeated = score in scores[:number]
        assert (number in members) == (not is_beaten and not is_repeated)


@given(scores_of_trials, st.sampled_from(PICKS))
def test_what_is_picked_is_on_the_front_and_ranks_first(scores, pick):
    trials = standings(*scores, standard_error=1.0)
    goal = Goal(ACCURACY_AND_SIZE, pick)
    front = [standing.number for standing in pareto_front(trials, goal.objectives)]
    ranked = rank(trials, goal)
    assert ranked[0] in front
    assert set(ranked[: len(front)]) == set(front)
    assert sorted(ranked) == list(range(len(scores)))


@pytest.mark.parametrize(
    ("pick", "number"), [("best", 0), ("one_standard_error", 1), ("balanced", 2)]
)
def test_every_rule_takes_its_own_trial(pick, number):
    trials = standings((0.95, 1000), (0.94, 900), (0.90, 100), (0.5, 10))
    trials = [Standing(s.number, COMPLETE, s.scores, 0.02) for s in trials]
    assert pick_from_front(trials, Goal(ACCURACY_AND_SIZE, pick)) == number


def test_pruned_and_failed_trials_are_never_on_the_front():
    trials = [
        Standing(0, TrialState.PRUNED, (0.9, 1)),
        Standing(1, TrialState.FAILED),
        Standing(2, COMPLETE, (0.5, 9)),
    ]
    assert rank(trials, Goal(ACCURACY_AND_SIZE)) == [2, 0, 1]


def of_folds(number, folds, log_loss, n_parameters=10, state=COMPLETE):
    score = sum(folds) / len(folds)
    return Standing(
        number, state, (score,), folds=folds, tie_breakers=(log_loss, n_parameters)
    )


ACCURACY = Goal((make_objective("accuracy"),), tie_breaker="log_loss")


def test_of_trials_within_noise_the_one_with_the_least_log_loss_is_first():
    trials = [
        of_folds(0, (0.90, 0.94, 0.92), 0.4),
        of_folds(1, (0.93, 0.91, 0.91), 0.2),
        of_folds(2, (0.80, 0.84, 0.82), 0.1),  # worse on every fold: no tie
    ]
    assert rank(trials, ACCURACY) == [1, 0, 2]
    assert [trial.number for trial in tied(trials, ACCURACY)] == [0, 1]


def test_of_equal_log_losses_the_smallest_model_is_first():
    trials = [of_folds(k, (0.9, 0.9), 0.3, size) for k, size in enumerate((9, 5, 7))]
    assert rank(trials, ACCURACY)[0] == 1


def test_pruned_trials_and_searches_without_a_tie_breaker_do_not_tie():
    trials = [
        of_folds(0, (0.90, 0.94), 0.4),
        of_folds(1, (0.94, 0.89), 0.2),
        of_folds(2, (0.94, 0.90), 0.1, state=TrialState.PRUNED),
    ]
    assert rank(trials, ACCURACY)[0] == 1
    assert rank(trials, Goal(ACCURACY.objectives))[0] == 0
    without = [replace(trial, tie_breakers=()) for trial in trials]
    assert rank(without, ACCURACY)[0] == 0


@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_single_fold_ties_only_with_an_equal_score(direction):
    goal = Goal((make_objective(("val_mine", direction)),), tie_breaker="log_loss")
    trials = [of_folds(k, (score,), 0.3 - k / 10) for k, score in enumerate((3, 3, 4))]
    assert rank(trials, goal)[0] == (2 if direction == "max" else 1)
