import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

from ktune.data.dataset import Kind
from ktune.data.folds import Fold, Partition
from ktune.data.preprocessing import (
    FittedPreprocessing,
    fit_preprocessing,
    needs_fit,
    prepare_folds,
    prepare_refit,
)
from ktune.data.table_transformer import N_HASHES
from ktune.errors import DataError, ExperimentError

RNG = np.random.default_rng(0)
N = 30


def partition_of(x, y=None, n_folds=3):
    n = len(next(iter(x.values()))) if isinstance(x, dict) else len(x)
    rows = np.arange(n)
    folds = tuple(
        Fold(k, rows[rows % n_folds != k], rows[rows % n_folds == k])
        for k in range(n_folds)
    )
    y = rows % 2 if y is None else y
    return Partition(x, y, folds, rows)


def prepare(x, preprocess="auto", kind=Kind.TABULAR, **more):
    return prepare_folds(partition_of(x, **more), preprocess, kind)


def train_rows(fold):
    return fold.x[fold.train]


def test_tables_are_standardised_by_the_training_rows_of_each_fold():
    x = RNG.normal(5, 3, (N, 4))
    for fold in prepare(x):
        np.testing.assert_allclose(train_rows(fold).mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(train_rows(fold).std(axis=0), 1, atol=1e-6)
        assert abs(fold.x[fold.validation].mean(axis=0)).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "shape"), [(Kind.TABULAR, (N, 4)), (Kind.SEQUENCE, (N, 5, 4))]
)
@pytest.mark.parametrize("preprocess", ["auto", MinMaxScaler()])
def test_validation_rows_leave_no_trace_in_what_is_learned(kind, shape, preprocess):
    """The first fold's validation rows are enormous; its training rows never know."""
    if kind is Kind.SEQUENCE and preprocess != "auto":
        preprocess = FunctionTransformer(np.sign)
    plain = RNG.normal(size=shape)
    planted = plain.copy()
    partition = partition_of(plain)
    planted[partition.folds[0].validation] = 1e9
    before = prepare_folds(partition, preprocess, kind)[0]
    after = prepare_folds(partition_of(planted), preprocess, kind)[0]
    np.testing.assert_array_equal(train_rows(before), train_rows(after))


def test_missing_numbers_are_imputed_by_the_training_rows():
    x = np.arange(N, dtype=float).reshape(-1, 1)
    x[:3] = np.nan
    for fold in prepare(x):
        known = fold.train[fold.train >= 3]
        middle = (np.median(known) - np.mean(x[known])) / np.std(x[known])
        assert np.isfinite(fold.x).all()
        assert fold.x[:3, 0] == pytest.approx([middle] * 3, abs=0.1)


def test_a_column_that_is_missing_everywhere_becomes_zero():
    x = np.c_[np.arange(N), np.full(N, np.nan)]
    for fold in prepare(x):
        assert fold.x.shape == (N, 2)
        assert not fold.x[:, 1].any()


def test_a_constant_column_becomes_zero():
    for fold in prepare(np.c_[np.arange(N), np.full(N, 0.1)]):
        np.testing.assert_allclose(fold.x[:, 1], 0, atol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 0.3, 123.456, -1e6 - 0.1])
def test_a_constant_feature_of_sequences_becomes_zero(constant):
    """Its deviation is not quite zero in floating point, but must not be divided by."""
    x = RNG.normal(size=(N, 50, 2))
    x[:, :, 1] = constant
    for fold in prepare(x, kind=Kind.SEQUENCE):
        np.testing.assert_allclose(fold.x[:, :, 1], 0, atol=0.1)


def test_features_of_sequences_are_standardised_over_rows_and_steps():
    x = RNG.normal(3, 2, (N, 7, 2))
    for fold in prepare(x, kind=Kind.SEQUENCE):
        flat = train_rows(fold).reshape(-1, 2)
        np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(flat.std(axis=0), 1, atol=1e-5)


def test_token_numbers_stay_whole_numbers():
    tokens = RNG.integers(0, 50, (N, 12))
    for fold in prepare(tokens, kind=Kind.SEQUENCE):
        assert fold.x.dtype.kind == "i"
        assert (fold.x == tokens).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_pixels_are_scaled_to_one_at_most(dtype):
    x = RNG.integers(0, 256, (N, 4, 4)).astype(dtype)
    for fold in prepare(x, kind=Kind.IMAGE):
        assert fold.x.dtype == np.float32
        np.testing.assert_allclose(fold.x, x / 255, rtol=1e-6)


def test_pixels_that_are_scaled_already_stay_as_they_are():
    x = RNG.uniform(0, 1, (N, 4, 4, 3)).astype(np.float32)
    assert (prepare(x, kind=Kind.IMAGE)[0].x == x).all()


def test_black_and_white_pixels_become_zero_and_one():
    x = RNG.integers(0, 2, (N, 4, 4)).astype(bool)
    for fold in prepare(x, kind=Kind.IMAGE):
        assert set(np.unique(fold.x)) == {0, 1}


def test_pixels_of_sixteen_bits_are_scaled_to_one_at_most():
    x = RNG.integers(0, 65536, (N, 4, 4)).astype(np.uint16)
    for fold in prepare(x, kind=Kind.IMAGE):
        np.testing.assert_allclose(fold.x, x / 65535, rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "preprocess", "kind"),
    [
        (RNG.normal(size=(N, 3)), None, Kind.TABULAR),
        (RNG.integers(0, 256, (N, 4, 4)).astype(np.uint8), "auto", Kind.IMAGE),
        ({"a": RNG.normal(size=(N, 3))}, "auto", Kind.SEVERAL),
    ],
)
def test_folds_share_one_object_where_nothing_is_learned(x, preprocess, kind):
    folds = prepare(x, preprocess, kind)
    assert all(fold.x is folds[0].x for fold in folds)
    assert not needs_fit(preprocess, kind)


def test_folds_have_features_of_their_own_where_something_is_learned():
    folds = prepare(RNG.normal(size=(N, 3)))
    assert folds[0].x is not folds[1].x


def table():
    return pd.DataFrame(
        {
            "size": np.arange(N, dtype=float),
            "city": ["Rome", "Oslo", "Bern"] * (N // 3),
            "open": np.arange(N) % 2 == 0,
        }
    )


def test_categories_become_columns_of_zero_and_one():
    for fold in prepare(table()):
        assert fold.x.shape == (N, 2 + 4)  # three cities and "missing"
        cities = fold.x[:, 2:]
        assert set(np.unique(cities)) == {0, 1}
        assert (cities.sum(axis=1) == 1).all()


def test_folds_are_equally_wide_when_a_category_is_only_in_one_of_them():
    frame = table()
    frame.loc[0, "city"] = "Lima"  # row 0 is validated in fold 0 alone
    folds = prepare(frame)
    assert {fold.x.shape[1] for fold in folds} == {2 + 5}
    assert all(fold.x[0, 2:].sum() == 1 for fold in folds)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_categories_have_a_column_of_their_own(missing):
    frame = table()
    frame["city"] = frame["city"].astype(object)
    frame.loc[5:7, "city"] = missing
    for fold in prepare(frame):
        columns = fold.x[5:8, 2:].argmax(axis=1)
        assert len(set(columns)) == 1
        assert (fold.x[:, 2 + columns[0]] == 1).sum() == 3


def test_a_category_never_seen_before_is_all_zeros():
    _, fitted = prepare_refit(partition_of(table()), "auto", Kind.TABULAR)
    stranger = table().head(1).assign(city="Lima")
    assert not fitted.transform(stranger)[0, 2:].any()


@pytest.mark.parametrize(
    "codes", [[1, 2, 3], [0.5, 1.5, 2.5], [True, False, "maybe"], ["1", 1, 2]]
)
def test_categories_may_be_written_as_numbers(codes):
    column = pd.Series(codes * (N // 3), dtype=object)
    for fold in prepare(pd.DataFrame({"size": np.arange(N), "code": column})):
        assert (fold.x[:, 1:].sum(axis=1) == 1).all()


def test_a_table_of_categories_alone_is_encoded():
    for fold in prepare(table()[["city"]]):
        assert fold.x.shape == (N, 4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, bool])
def test_models_see_float32(dtype):
    x = RNG.integers(0, 2, (N, 3)).astype(dtype)
    assert {fold.x.dtype for fold in prepare(x)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_number_type_of_raw_rows_does_not_matter(dtype):
    x = RNG.normal(size=(N, 3)).astype(np.float32)
    _, fitted = prepare_refit(partition_of(x), "auto", Kind.TABULAR)
    assert (fitted.transform(x.astype(dtype)) == fitted.transform(x)).all()


def test_without_preprocessing_only_the_number_type_changes():
    x = RNG.normal(size=(N, 3))
    fold = prepare(x, None)[0]
    assert fold.x.dtype == np.float32
    assert (fold.x == x.astype(np.float32)).all()


def test_text_without_preprocessing_is_an_error_with_the_remedy():
    with pytest.raises(DataError, match="`preprocess='auto'`"):
        prepare(table(), None)


@pytest.mark.parametrize(
    ("transformer", "width"),
    [
        (StandardScaler(), 4),
        (PCA(2, random_state=0), 2),
        (SelectKBest(k=3), 3),
        (OneHotEncoder(handle_unknown="ignore", max_categories=2), 8),
        (MinMaxScaler().set_output(transform="pandas"), 4),
    ],
)
def test_any_transformer_is_cloned_and_fitted_in_each_fold(transformer, width):
    x = RNG.normal(size=(N, 4))
    for fold in prepare(x, transformer):
        assert isinstance(fold.x, np.ndarray)
        assert fold.x.dtype == np.float32
        assert fold.x.shape == (N, width)
    assert not hasattr(transformer, "n_features_in_")


def test_a_transformer_that_rejects_the_training_rows_is_named():
    with pytest.raises(ExperimentError, match="SelectKBest cannot be fitted"):
        prepare(RNG.normal(size=(N, 4)) * np.nan, SelectKBest(k=3))


def test_a_transformer_that_rejects_the_validation_rows_is_named():
    frame = table()[["city"]]
    frame.loc[0, "city"] = "Lima"
    with pytest.raises(ExperimentError, match=r"OneHotEncoder cannot transform.*Lima"):
        prepare(frame, OneHotEncoder())


def test_a_transformer_is_refused_for_several_inputs():
    with pytest.raises(ExperimentError, match="several inputs"):
        prepare({"a": np.ones((N, 2))}, StandardScaler(), Kind.SEVERAL)


def test_several_inputs_are_taken_as_they_are():
    x = {"a": RNG.normal(size=(N, 2)), "b": RNG.integers(0, 9, (N, 3))}
    fold = prepare(x, kind=Kind.SEVERAL)[0]
    assert {name: part.dtype.kind for name, part in fold.x.items()} == {
        "a": "f",
        "b": "i",
    }
    assert fold.x["a"].dtype == np.float32


def test_the_train_side_is_scored_on_a_sample_as_large_as_the_validation_side():
    fold = prepare(np.zeros((9000, 1)))[0]
    assert len(fold.train_sample) == 3000
    assert set(fold.train_sample) <= set(fold.train)
    assert len(set(fold.train_sample)) == 3000
    assert fold.train_sample[0] == fold.train[0]
    assert fold.train_sample[-1] == fold.train[-1]


def test_few_training_rows_are_all_in_the_sample():
    for fold in prepare(np.zeros((N, 1))):
        assert fold.train_sample.tolist() == fold.train.tolist()


def test_a_refit_learns_from_all_rows_and_validates_on_none():
    x = RNG.normal(5, 3, (N, 4))
    fold, fitted = prepare_refit(partition_of(x), "auto", Kind.TABULAR)
    assert fold.train.tolist() == list(range(N))
    assert len(fold.validation) == 0
    np.testing.assert_allclose(fold.x.mean(axis=0), 0, atol=1e-6)
    assert (fitted.transform(x) == fold.x).all()


def test_nothing_learned_and_nothing_scaled_is_the_identity():
    assert FittedPreprocessing().is_identity
    assert not FittedPreprocessing(scale=0.5).is_identity


def many_categories(n=400):
    rng = np.random.default_rng(1)
    users = np.array([f"user {i}" for i in rng.integers(0, 300, n)], dtype=object)
    users[7] = None
    return pd.DataFrame({"user": users, "age": rng.normal(size=n)})


def test_many_categories_are_hashed_the_same_way_everywhere():
    frame = many_categories()
    y = np.arange(len(frame)) % 2
    rows = np.arange(0, len(frame), 2)
    fitted = fit_preprocessing("auto", frame, y, rows, Kind.TABULAR)
    x = fitted.transform(frame)
    assert x.shape == (len(frame), 1 + N_HASHES)
    hashed = x[:, 1:]
    assert (np.abs(hashed).sum(axis=1) == 1).all()
    same = frame["user"] == frame["user"][0]
    assert (hashed[same] == hashed[0]).all()
    # Murmur's hash of the name: the same number on every machine.
    assert frame["user"][0] == "user 141"
    assert np.flatnonzero(hashed[0]).tolist() == [79]
    unseen = fitted.transform(pd.DataFrame({"user": ["nobody"], "age": [0.0]}))
    assert np.abs(unseen[:, 1:]).sum() == 1


def test_a_hundred_categories_have_a_column_each():
    frame = pd.DataFrame({"city": [f"c{i % 100}" for i in range(400)]})
    rows = np.arange(400)
    fitted = fit_preprocessing("auto", frame, rows % 2, rows, Kind.TABULAR)
    assert fitted.transform(frame).shape == (400, 101)


def test_free_text_is_refused_with_the_remedy():
    texts = [f"a review of {i} words that occur only once" for i in range(200)]
    frame = pd.DataFrame({"review": texts, "age": np.arange(200.0)})
    rows = np.arange(200)
    with pytest.raises(ExperimentError, match=r"'review' holds free text.*Tfidf"):
        fit_preprocessing("auto", frame, rows % 2, rows, Kind.TABULAR)


def test_a_hasher_loads_with_the_model_without_anything_of_ktune(tmp_path):
    import skops.io

    frame = many_categories()
    rows = np.arange(len(frame))
    fitted = fit_preprocessing("auto", frame, rows % 2, rows, Kind.TABULAR)
    skops.io.dump(fitted.transformer, tmp_path / "transformer.skops")
    types = skops.io.get_untrusted_types(file=tmp_path / "transformer.skops")
    assert not any("ktune" in name for name in types)
    loaded = skops.io.load(tmp_path / "transformer.skops", trusted=types)
    again = FittedPreprocessing(transformer=loaded)
    assert (again.transform(frame) == fitted.transform(frame)).all()
