import pytest

from ktune.evaluation.early_stopping import EarlyStopping
from ktune.metrics.objectives import make_objective


def follow(values, *, objective="accuracy", patience=None):
    """Update until training should stop; return the rule."""
    stopping = EarlyStopping(make_objective(objective), patience)
    for value in values:
        stopping.update(value)
        if stopping.should_stop:
            break
    return stopping


@pytest.mark.parametrize(
    ("patience", "n_epochs", "best_epoch"),
    [(1, 2, 0), (2, 5, 2), (3, 6, 2), (None, 6, 2), (False, 6, 5)],
)
def test_training_stops_after_as_many_epochs_without_a_better_one(
    patience, n_epochs, best_epoch
):
    stopping = follow([0.5, 0.4, 0.6, 0.6, 0.5, 0.1], patience=patience)
    assert (stopping.n_epochs, stopping.best_epoch) == (n_epochs, best_epoch)


def test_an_update_says_whether_the_epoch_is_the_best_so_far():
    stopping = EarlyStopping(make_objective("loss"), 5)
    answers = [stopping.update(value) for value in (0.9, 0.5, 0.7, 0.4)]
    assert answers == [True, True, False, True]
    assert stopping.best_value == 0.4


def test_without_early_stopping_every_epoch_replaces_the_one_before():
    stopping = follow([0.9, 0.5], patience=False)
    assert stopping.best_value == 0.5
    assert not stopping.should_stop
