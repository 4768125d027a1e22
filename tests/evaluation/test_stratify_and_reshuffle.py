import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.data import load_data
from ktune.data.dataset import Task
from ktune.data.folds import make_folds, make_strata, split
from ktune.errors import DataError, ExperimentError
from ktune.evaluation.context import make_context
from ktune.evaluation.training_task import folds_of
from ktune.experiment.experiment import Experiment
from ktune.testing.fakes import FakeModel, make_trial

RNG = np.random.default_rng(0)


@given(seed=st.integers(0, 20), n_folds=st.integers(2, 5))
def test_bins_give_every_fold_its_share_of_large_and_small_targets(seed, n_folds):
    y = np.random.default_rng(seed).lognormal(0, 2, 200)
    folds = make_folds(n_folds, y, task=Task.REGRESSION, seed=seed, stratify="bins")
    tenths = make_strata(y, Task.REGRESSION, "bins", n_folds)
    for fold in folds:
        counts = np.bincount(tenths[fold.validation], minlength=10)
        assert counts.max() - counts.min() <= 1 + 20 % n_folds


def test_classes_are_not_stratified_when_not_wanted():
    y = np.array([0] * 50 + [1] * 50)
    plain = make_folds(5, y, task=Task.BINARY, seed=1, stratify="none")
    shares = {float(y[fold.validation].mean()) for fold in plain}
    assert len(shares) > 1
    default = make_folds(5, y, task=Task.BINARY, seed=1)
    assert {float(y[fold.validation].mean()) for fold in default} == {0.5}


def test_bins_need_a_single_target():
    y = RNG.normal(size=(30, 2))
    with pytest.raises(ExperimentError, match="single target"):
        make_folds(3, y, task=Task.REGRESSION, stratify="bins")


def test_a_class_too_rare_is_called_by_its_name():
    x, y = RNG.normal(size=(30, 2)), ["often"] * 28 + ["seldom"] * 2
    with pytest.raises(DataError, match="class 'seldom' has 2 rows"):
        split(load_data((x, y)), cv=5, test_size=0.0, seed=0)


def bench_of(x, y, times=None, **fields):
    import ktune

    source = ktune.data.arrays(x, y, times=times)
    data = load_data(source)
    fields = {"cv": 3, "reshuffle": True, **fields}
    experiment = Experiment(
        name="x", data=source, build=lambda hp: FakeModel(), **fields
    )
    partition = split(data, cv=experiment.cv, test_size=0.2, seed=experiment.seed)
    return make_context(experiment, data, partition)


X, Y = RNG.normal(size=(60, 2)), np.arange(60) % 2


def rows_of(folds):
    return [fold.validation.tolist() for fold in folds]


def test_every_trial_has_folds_of_its_own_the_same_each_time():
    context = bench_of(X, Y)
    first, again, other = (
        rows_of(folds_of(context, make_trial(number))) for number in (1, 1, 2)
    )
    assert first == again
    assert first != other
    for rows in (first, other):
        assert sorted(sum(rows, [])) == list(range(48))
    seeded = bench_of(X, Y, seed=7)
    assert rows_of(folds_of(seeded, make_trial(1))) != first


def test_without_it_all_trials_share_the_very_same_folds():
    context = bench_of(X, Y, reshuffle=False)
    assert folds_of(context, make_trial(3)) is context.folds


def test_preprocessing_is_fitted_to_the_new_training_rows():
    context = bench_of(X, Y)
    fold = folds_of(context, make_trial(1))[0]
    means = fold.x[fold.train].mean(axis=0)
    np.testing.assert_allclose(means, 0, atol=1e-5)
    assert np.abs(fold.x.mean(axis=0)).max() > 1e-3


def test_a_splitter_that_cannot_reshuffle_is_refused():
    from sklearn.model_selection import KFold

    with pytest.raises(ExperimentError, match="`reshuffle` needs `cv`"):
        bench_of(X, Y, cv=KFold(3))
    with pytest.raises(ExperimentError, match="rows without time"):
        bench_of(X, Y, times=np.arange(60))
