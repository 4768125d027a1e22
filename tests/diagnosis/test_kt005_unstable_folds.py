import numpy as np
import pytest
from views import (
    classification_view,
    regression_view,
    with_curves,
    with_predictions,
)

from ktune.diagnosis import NotApplicable, Verdict
from ktune.diagnosis.kt005_unstable_folds import UnstableFolds


def test_an_outlying_fold_is_named():
    view = classification_view(0.97, [0.95, 0.94, 0.96, 0.45, 0.95])
    found = UnstableFolds().check(view)
    assert found is not None
    assert found.verdict is Verdict.UNSTABLE
    assert found.evidence["fold"] == 3


def test_an_outlier_among_three_folds_is_found():
    assert UnstableFolds().check(classification_view(0.9, [0.9, 0.88, 0.4])) is not None


def test_differences_that_few_rows_explain_are_in_order():
    view = classification_view(0.9, [0.75, 1.0, 0.8, 0.9, 1.0], n_validation=10)
    assert UnstableFolds().check(view) is None


def test_folds_that_all_differ_are_found():
    view = classification_view(0.97, [0.95, 0.6, 0.8, 0.5, 0.9])
    assert UnstableFolds().check(view) is not None


def test_folds_with_different_targets_explain_a_gap():
    target = np.sort(np.random.default_rng(0).normal(size=500))
    fold = np.repeat(np.arange(5), 100)
    view = with_predictions(regression_view(0.8, -3.0), target * 0, target, fold)
    found = UnstableFolds().check(view)
    assert found is not None
    assert "shuffle" in found.remedy


def test_folds_with_different_targets_do_no_harm_where_there_is_no_gap():
    target = np.sort(np.random.default_rng(0).normal(size=500))
    fold = np.repeat(np.arange(5), 100)
    view = with_predictions(regression_view(0.8, 0.78), target, target, fold)
    assert UnstableFolds().check(view) is None


def test_not_applicable_to_one_fold():
    with pytest.raises(NotApplicable, match="one fold"):
        UnstableFolds().check(classification_view(0.9, 0.9, n_folds=1))


def test_not_applicable_where_nothing_was_learned():
    view = classification_view(0.5, [0.2, 0.8, 0.5, 0.4, 0.6])
    view = with_curves(view, train_log_loss=[[np.log(2)] * 10] * 5)
    with pytest.raises(NotApplicable, match="nothing"):
        UnstableFolds().check(view)


def test_a_fold_that_falls_away_after_the_best_epoch_is_found():
    view = classification_view(0.5, [0.52, 0.5, 0.48], best_epoch=0)
    view = with_curves(
        view,
        train_log_loss=[[0.7, 0.5, 0.3]] * 3,
        val_log_loss=[[0.7, 0.5, 0.4], [0.7, 0.5, 0.4], [0.7, 1.5, 3.0]],
        train_accuracy=[[0.5, 0.8, 0.95]] * 3,
        val_accuracy=[[0.5, 0.8, 0.94], [0.5, 0.8, 0.95], [0.48, 0.2, 0.05]],
    )
    found = UnstableFolds().check(view)
    assert found is not None
    assert "After the last epoch" in found.message
