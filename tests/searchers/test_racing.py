"""racing: what stops a trial between two folds."""

import numpy as np
import optuna
import pytest

from ktune.searchers.racing import RacingPruner, fold_scores
from ktune.searchers.study import quiet

INCUMBENT = [0.90, 0.86, 0.84, 0.92, 0.88]  # mean 0.88, worst 0.84


def is_stopped(rule, scores, *, incumbent=INCUMBENT, direction="maximize"):
    """Say after how many folds a trial is stopped; None: never."""
    with quiet():
        study = optuna.create_study(direction=direction, pruner=RacingPruner(rule))
        study.add_trial(finished(incumbent))
        trial = study.ask()
    for step in range(len(scores)):
        trial.report(float(np.mean(scores[: step + 1])), step)
        if trial.should_prune():
            return step + 1
    return None


def finished(scores):
    means = {k: float(np.mean(scores[: k + 1])) for k in range(len(scores))}
    return optuna.trial.create_trial(
        value=float(np.mean(scores)), intermediate_values=means
    )


def test_fold_scores_are_recovered_from_means():
    np.testing.assert_allclose(fold_scores(finished(INCUMBENT)), INCUMBENT)


@pytest.mark.parametrize(
    ("rule", "scores", "after"),
    [
        ("forgiving", [0.80, 0.9, 0.9, 0.9, 0.9], 1),
        ("forgiving", [0.85, 0.83, 0.9, 0.9, 0.9], 2),  # the mean so far is 0.84
        ("forgiving", [0.85, 0.84, 0.85, 0.84, 0.85], None),
        ("aggressive", [0.87, 0.99, 0.99, 0.99, 0.99], 1),
        ("aggressive", [0.95, 0.90, 0.91, 0.89, 0.90], None),
        ("wilcoxon", [0.1, 0.1, 0.1, 0.1, 0.1], 4),  # p cannot be smaller before
        ("wilcoxon", [0.1, 0.1, 0.1, 0.95, 0.1], 5),
        ("wilcoxon", INCUMBENT, None),  # no difference at all
    ],
)
def test_rules_stop_when_they_say(rule, scores, after):
    assert is_stopped(rule, scores) == after


@pytest.mark.parametrize("rule", ["forgiving", "aggressive", "wilcoxon"])
def test_smaller_is_better_when_the_study_minimises(rule):
    errors, better = [1 - s for s in INCUMBENT], [0.5 - s / 2 for s in INCUMBENT]
    assert is_stopped(rule, better, incumbent=errors, direction="minimize") is None
    worse = [2 - s for s in INCUMBENT]
    assert is_stopped(rule, worse, incumbent=errors, direction="minimize")


def test_nothing_is_stopped_before_a_trial_is_complete():
    with quiet():
        study = optuna.create_study(pruner=RacingPruner("aggressive"))
        trial = study.ask()
    trial.report(1e9, 0)
    assert not trial.should_prune()


def test_an_incumbent_whose_folds_are_unknown_stops_nothing():
    with quiet():
        study = optuna.create_study(
            direction="maximize", pruner=RacingPruner("forgiving")
        )
        study.add_trial(optuna.trial.create_trial(value=0.9))
        trial = study.ask()
    trial.report(0.1, 0)
    assert not trial.should_prune()
