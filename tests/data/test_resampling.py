import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.data.preprocessing import PreparedFold
from ktune.data.resampling import resample_fold
from ktune.errors import ExperimentError


def make_fold(y):
    """A fold that validates on every third row."""
    y = np.asarray(y)
    rows = np.arange(len(y))
    train, validation = rows[rows % 3 > 0], rows[::3]
    return PreparedFold(0, np.zeros((len(y), 1)), y, train, train[::2], validation)


labels = st.lists(st.integers(0, 3), min_size=6, max_size=60)


@given(y=labels, seed=st.integers(0, 9))
def test_oversampling_keeps_every_training_row_and_adds_only_training_rows(y, seed):
    fold = make_fold(y)
    made = resample_fold(fold, "over", seed=seed, is_classification=True)
    counts = np.bincount(fold.y[made.train])
    before = np.bincount(fold.y[fold.train])
    assert set(made.train) == set(fold.train)
    assert set(counts[counts > 0]) == {before.max()}


@given(y=labels, seed=st.integers(0, 9))
def test_undersampling_repeats_no_row_and_keeps_the_rarest_class(y, seed):
    fold = make_fold(y)
    made = resample_fold(fold, "under", seed=seed, is_classification=True)
    before = np.bincount(fold.y[fold.train])
    counts = np.bincount(fold.y[made.train])
    assert len(set(made.train)) == len(made.train)
    assert set(made.train) <= set(fold.train)
    assert set(counts[counts > 0]) == {before[before > 0].min()}


@pytest.mark.parametrize("how", ["over", "under"])
def test_what_is_scored_stays_as_it_occurs(how):
    fold = make_fold([0, 0, 0, 0, 1, 0, 0, 1] * 5)
    made = resample_fold(fold, how, seed=1, is_classification=True)
    assert made.validation is fold.validation
    assert made.train_sample is fold.train_sample


def test_the_draw_depends_on_the_seed_alone():
    fold = make_fold([0, 0, 0, 0, 1, 0, 0, 1] * 5)
    one, same, other = (
        resample_fold(fold, "under", seed=seed, is_classification=True).train
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_without_classes_there_is_nothing_to_balance():
    fold = make_fold(np.linspace(0, 1, 12))
    with pytest.raises(ExperimentError, match="no classes to balance"):
        resample_fold(fold, "over", seed=0, is_classification=False)
    assert resample_fold(fold, None, seed=0, is_classification=False) is fold
