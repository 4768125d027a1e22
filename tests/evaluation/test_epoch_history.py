import numpy as np
import pytest

from ktune.data.dataset import Task
from ktune.data.preprocessing import PreparedFold
from ktune.errors import TrialFailed
from ktune.evaluation.early_stopping import EarlyStopping
from ktune.evaluation.epoch_history import EpochHistory
from ktune.metrics.objectives import make_objective
from ktune.protocols import FoldEpoch

Y = np.array([0, 1] * 10)
ROWS = np.arange(20)


def make_fold(index):
    """Two folds: the first validates on the first ten rows, the other on the rest."""
    is_validation = (ROWS < 10) == (index == 0)
    train, validation = ROWS[~is_validation], ROWS[is_validation]
    return PreparedFold(index, np.zeros((20, 1)), Y, train, train, validation)


FOLDS = (make_fold(0), make_fold(1))


def predictions(rows, accuracy):
    """Probabilities of which the given share is right."""
    is_right = np.arange(len(rows)) < round(accuracy * len(rows))
    return np.where(is_right == (Y[rows] == 1), 0.9, 0.1).astype(np.float32)


def outcome(fold, accuracy, loss=0.5):
    return FoldEpoch(
        train_loss=loss / 2,
        validation_loss=loss,
        train_predictions=predictions(fold.train_sample, 1.0),
        validation_predictions=predictions(fold.validation, accuracy),
    )


def make_book(objective="accuracy", metrics=("accuracy", "f1", "roc_auc"), **more):
    return EpochHistory(
        FOLDS,
        task=Task.BINARY,
        metrics=metrics,
        objective=make_objective(objective),
        **more,
    )


def add(book, *accuracies, losses=(0.5, 0.5)):
    """Add an epoch given one accuracy a fold."""
    each = zip(FOLDS, accuracies, losses, strict=True)
    return book.add([outcome(fold, a, loss) for fold, a, loss in each])


def test_the_value_of_an_epoch_is_the_mean_over_the_folds():
    assert add(make_book(), 0.5, 0.8) == pytest.approx(0.65)


def test_one_epoch_is_best_for_all_folds():
    """Each fold has a luckier epoch of its own; the mean is best in the second."""
    book = make_book()
    for accuracies in [(1.0, 0.1), (0.7, 0.7), (0.1, 1.0)]:
        add(book, *accuracies)
    assert (book.stopping.best_epoch, book.stopping.best_value) == (
        1,
        pytest.approx(0.7),
    )
    scores = [fold.validation["accuracy"] for fold in book.fold_results()]
    assert scores == pytest.approx([0.7, 0.7])


def test_the_first_of_equally_good_epochs_is_best():
    book = make_book()
    for _ in range(3):
        add(book, 0.7, 0.7)
    assert (book.stopping.best_epoch, book.stopping.n_epochs) == (0, 3)
    assert book.stopping.epochs_since_best == 2


def test_the_last_epoch_counts_when_asked_for():
    book = make_book(stopping=EarlyStopping(make_objective("accuracy"), False))
    add(book, 0.9, 0.9)
    add(book, 0.5, 0.5)
    assert (book.stopping.best_epoch, book.stopping.best_value) == (
        1,
        pytest.approx(0.5),
    )
    assert book.fold_results()[0].validation["accuracy"] == pytest.approx(0.5)
    assert book.stopping.epochs_since_best == 0


def test_the_smallest_loss_is_best():
    book = make_book("loss")
    for loss in (0.9, 0.3, 0.6):
        add(book, 0.5, 0.5, losses=(loss, loss + 0.1))
    assert (book.stopping.best_epoch, book.stopping.best_value) == (
        1,
        pytest.approx(0.35),
    )


def test_an_error_metric_is_minimised():
    book = make_book("log_loss")
    for accuracy in (0.5, 0.9, 0.7):
        add(book, accuracy, accuracy)
    assert book.stopping.best_epoch == 1


def test_an_objective_that_is_not_finite_fails_the_trial():
    book = make_book("loss")
    add(book, 0.5, 0.5)
    message = r"objective 'loss' is nan after epoch 2"
    with pytest.raises(TrialFailed, match=message):
        add(book, 0.5, 0.5, losses=(0.5, float("nan")))


def test_an_objective_that_is_not_defined_on_a_fold_fails_the_trial():
    book = EpochHistory(
        [PreparedFold(0, ROWS, Y, ROWS, ROWS, ROWS[::2])],  # all of class 0
        task=Task.BINARY,
        metrics=(),
        objective=make_objective("roc_auc"),
    )
    rows = np.full(20, 0.5, dtype=np.float32)
    with pytest.raises(TrialFailed, match="'roc_auc' is nan after epoch 1"):
        book.add([FoldEpoch(0.1, 0.1, rows, rows[::2])])


def test_curves_hold_every_fold_and_epoch():
    book = make_book(metrics=("accuracy",))
    add(book, 0.5, 0.6)
    add(book, 0.7, 0.8)
    curves = book.curves()
    assert set(curves) == {"train_loss", "train_accuracy", "val_loss", "val_accuracy"}
    assert curves["val_accuracy"] == (
        pytest.approx((0.5, 0.7)),
        pytest.approx((0.6, 0.8)),
    )
    assert curves["train_loss"] == ((0.25, 0.25), (0.25, 0.25))


def test_dear_metrics_are_read_at_the_best_epoch_only():
    book = make_book("accuracy")
    add(book, 0.5, 0.5)
    assert not any("roc_auc" in name for name in book.curves())
    assert "roc_auc" in book.fold_results()[0].validation


def test_a_dear_objective_is_followed_every_epoch():
    book = make_book("roc_auc", metrics=("accuracy",))
    add(book, 0.5, 0.5)
    assert "val_roc_auc" in book.curves()
    assert set(book.fold_results()[0].validation) == {"loss", "accuracy", "roc_auc"}


def test_fold_results_tell_both_sides_and_sizes():
    book = make_book(metrics=("accuracy",))
    add(book, 0.5, 0.6, losses=(0.2, 0.4))
    first, second = book.fold_results()
    assert (first.index, first.n_train, first.n_validation) == (0, 10, 10)
    assert second.validation == {"loss": 0.4, "accuracy": pytest.approx(0.6)}
    assert second.train == {"loss": 0.2, "accuracy": 1.0}


def test_out_of_fold_predictions_are_those_of_the_best_epoch():
    book = make_book()
    add(book, 0.9, 0.9)
    add(book, 0.2, 0.2)
    found = book.out_of_fold()
    assert found["row"].tolist() == list(range(20))
    assert found["fold"].tolist() == [0] * 10 + [1] * 10
    assert found["target"].tolist() == Y.tolist()
    expected = [predictions(fold.validation, 0.9) for fold in FOLDS]
    assert found["prediction"].tolist() == np.concatenate(expected).tolist()
