"""Preprocessing inside an exported model does what the fitted transformer does."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

from ktune.data.dataset import Kind
from ktune.data.preprocessing import FittedPreprocessing, fit_preprocessing
from ktune.models.export.complete_model import preprocess
from ktune.models.export.embedded_preprocessing import NotEmbeddable, embed

COLUMNS = ["a", "b", "c", "d"]


def table(seed, share_missing):
    rng = np.random.default_rng(seed)
    rows = rng.normal(rng.uniform(-50, 50, 4), rng.uniform(0.1, 20, 4), (60, 4))
    rows[rng.random(rows.shape) < share_missing] = np.nan
    rows[0] = 1.0  # no column is missing altogether
    return rows


def embedded(preprocessing, rows, columns=()):
    inside = preprocess(np.asarray(rows, np.float32), embed(preprocessing, columns))
    return ops.convert_to_numpy(inside)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    scaler=st.sampled_from(
        [
            StandardScaler(),
            StandardScaler(with_mean=False),
            StandardScaler(with_std=False),
            MinMaxScaler((-1, 2)),
            MaxAbsScaler(),
            RobustScaler(),
            RobustScaler(with_centering=False),
            FunctionTransformer(),
        ]
    ),
    strategy=st.sampled_from(["median", "mean", "most_frequent", "constant"]),
)
def test_filling_and_scaling_numbers_is_carried(seed, scaler, strategy):
    rows = table(seed, 0.2)
    transformer = make_pipeline(SimpleImputer(strategy=strategy), scaler)
    wanted = transformer.fit_transform(rows)
    found = embedded(FittedPreprocessing(transformer), rows)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    order=st.permutations(COLUMNS),
    cut=st.integers(1, 3),
    rest=st.sampled_from(["drop", "passthrough"]),
    by=st.sampled_from(["names", "numbers", "mask"]),
)
def test_columns_are_carried_in_the_order_of_the_transformer(
    seed, order, cut, rest, by
):
    frame = pd.DataFrame(table(seed, 0.0), columns=COLUMNS)
    first, second = list(order[:cut]), list(order[cut:3])
    chosen = {
        "names": first,
        "numbers": [COLUMNS.index(name) for name in first],
        "mask": [name in first for name in COLUMNS],
    }[by]
    transformer = ColumnTransformer(
        [("x", StandardScaler(), chosen), ("y", MinMaxScaler(), second)], remainder=rest
    )
    wanted = transformer.fit_transform(frame)
    found = embedded(FittedPreprocessing(transformer), frame, COLUMNS)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1 / 255, None])
def test_images_are_scaled_bit_for_bit(scale):
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 3))
    preprocessing = FittedPreprocessing(scale=scale)
    wanted = np.asarray(preprocessing.transform(images), np.float32)
    np.testing.assert_array_equal(embedded(preprocessing, images), wanted)


def test_sequences_are_standardised_as_in_training():
    rows = np.random.default_rng(0).normal(5, 3, (20, 6, 4)).astype(np.float32)
    y = np.zeros(20)
    fitted = fit_preprocessing("auto", rows, y, np.arange(20), Kind.SEQUENCE)
    np.testing.assert_array_equal(embedded(fitted, rows), fitted.transform(rows))


@pytest.mark.parametrize(
    ("transformer", "told"),
    [
        (PCA(2), "PCA does more than"),
        (MinMaxScaler(clip=True), "clips"),
        (FunctionTransformer(np.log1p), "user-defined function"),
        (SimpleImputer(add_indicator=True), "adds columns"),
    ],
)
def test_preprocessing_across_columns_is_not_embedded(transformer, told):
    transformer.fit(np.abs(table(1, 0.1)) if "Imp" in repr(transformer) else TABLE)
    with pytest.raises(NotEmbeddable, match=told):
        embed(FittedPreprocessing(transformer))


def test_text_cannot_be_carried():
    frame = pd.DataFrame({"town": ["Kyiv", "Ghent"] * 10})
    rows = np.arange(20)
    fitted = fit_preprocessing("auto", frame, np.zeros(20), rows, Kind.TABULAR)
    with pytest.raises(NotEmbeddable, match="text"):
        embed(fitted, ["town"])
    one_hot = OneHotEncoder().fit(frame)
    with pytest.raises(NotEmbeddable, match="OneHotEncoder"):
        embed(FittedPreprocessing(one_hot))


TABLE = np.abs(table(1, 0.0))
