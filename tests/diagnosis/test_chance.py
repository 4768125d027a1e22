import numpy as np
import pytest
from views import classification_view, regression_view, with_context, with_predictions

from ktune.data.dataset import Task
from ktune.diagnosis import Verdict, diagnose_trial
from ktune.diagnosis.chance import beats_constant_guess
from ktune.diagnosis.rule import NotApplicable

SEEDS = range(20)
N = 500
FOLD = np.arange(N) % 5


def of_classes(target, prediction, accuracy=0.54):
    view = classification_view(accuracy, accuracy)
    if prediction.ndim == 2:
        view = with_context(view, task=Task.MULTICLASS)
    return with_predictions(view, prediction, target, FOLD)


def coins(seed, strength=0.0, share=0.5):
    """Classes and probabilities that know about them as much as ``strength``."""
    rng = np.random.default_rng(seed)
    target = (rng.random(N) < share).astype(np.int64)
    noise = rng.normal(size=N)
    score = strength * (target - share) + noise + np.log(share / (1 - share))
    return target, 1 / (1 + np.exp(-score))


def share_of_beaten(make):
    return np.mean([beats_constant_guess(make(seed)) for seed in SEEDS])


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_random_probabilities_do_not_beat_a_constant_guess(share):
    assert share_of_beaten(lambda seed: of_classes(*coins(seed, 0, share))) <= 0.1


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_signal_beats_a_constant_guess_though_classes_are_uneven(share):
    assert share_of_beaten(lambda seed: of_classes(*coins(seed, 2, share))) == 1


def test_recalls_count_where_weights_have_made_the_log_loss_worse():
    target, prediction = coins(0, 3, 0.9)
    shifted = 1 / (1 + (1 / prediction - 1) * 9)  # as balanced class weights shift it
    assert beats_constant_guess(of_classes(target, shifted))


def test_the_mean_with_noise_does_not_beat_the_mean():
    def make(seed):
        rng = np.random.default_rng(seed)
        target = rng.normal(size=N) * 18.2
        view = regression_view(0.01, 0.0)
        return with_predictions(view, 0.3 * rng.normal(size=N), target, FOLD)

    assert share_of_beaten(make) == 0


def test_a_weak_signal_of_many_rows_beats_the_mean():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=N)
    target = signal + 3 * rng.normal(size=N)
    assert beats_constant_guess(
        with_predictions(regression_view(0.1, 0.1), signal, target, FOLD)
    )


def test_random_labels_do_not_beat_the_shares_of_the_labels():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, (N, 3))
    view = with_context(classification_view(0.5, 0.5), task=Task.MULTILABEL)
    guess = with_predictions(view, rng.random((N, 3)), target, FOLD)
    assert not beats_constant_guess(guess)
    known = with_predictions(view, 0.2 + 0.6 * target, target, FOLD)
    assert beats_constant_guess(known)


def test_three_random_classes_do_not_beat_their_shares():
    rng = np.random.default_rng(1)
    target = rng.integers(0, 3, N)
    prediction = rng.dirichlet(np.ones(3), N)
    assert not beats_constant_guess(of_classes(target, prediction))


def test_without_predictions_there_is_no_answer():
    with pytest.raises(NotApplicable):
        beats_constant_guess(classification_view(0.9, 0.9))


def test_a_trial_at_the_constant_guess_is_never_good():
    """The loss falls on training rows, and nothing of it holds for others."""
    view = of_classes(*coins(3), accuracy=0.62)
    diagnosis = diagnose_trial(view)
    assert diagnosis.verdict is not Verdict.GOOD
    assert "within noise" in diagnosis.reason
