"""From raw rows to what a model sees: fitted on training rows only, fold by fold.

What ``preprocess="auto"`` does:

| features | become |
|---|---|
| numbers of a table | the median where missing, then standardised |
| at most 100 categories | a column each (one-hot), one more for missing ones |
| more categories | 128 columns by a hash of the name |
| free text | an error: drop it, or give a transformer |
| images | 0 … 1 |
| sequences of numbers | standardised by feature; tokens stay as they are |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    StandardScaler,
)

from ktune.data.dataset import Inputs, Kind, take_rows
from ktune.data.folds import Fold, Partition
from ktune.data.large_arrays import chunks, empty
from ktune.data.targets import TargetScaling, fit_target_scaling
from ktune.errors import DataError, ExperimentError

MISSING = "(missing)"
"""The category of a value that is missing."""

MOST_CATEGORIES = 100
"""A column of more categories is hashed; with so many or fewer, each gets a column."""

N_HASHES = 128
"""Columns a hashed one becomes."""

WORDS_OF_TEXT = 4.0
"""Words of a value on average, from which on different values are sentences."""

FULL_SCALES = (1.0, 255.0, 65535.0)
"""The value of full light in images: scaled already, of 8 bits, of 16 bits."""


@dataclass(frozen=True, eq=False)
class FittedPreprocessing:
    """Preprocessing whose numbers are known; it travels with the model.

    A row becomes ``transformer(row) * scale + shift``; None stands for "leave it".

    Attributes:
        transformer: A fitted scikit-learn transformer.
        scale: Factor, a number or one a feature (last axis).
        shift: Summand, likewise.
    """

    transformer: Any = None
    scale: np.ndarray | float | None = None
    shift: np.ndarray | float | None = None

    @property
    def is_identity(self) -> bool:
        """Whether rows only change their number type."""
        return self.transformer is None and self.scale is None

    def transform(self, x: Inputs) -> Inputs:
        """Return what the model sees of these rows, floats as float32."""
        if isinstance(x, Mapping):
            return {name: as_model_numbers(part) for name, part in x.items()}
        if self.transformer is not None:
            x = _dense(self._transformed(plain_table(x)))
        numbers = as_model_numbers(x)
        if self.scale is None:
            return numbers
        scaled = empty(numbers.shape, np.float32)
        for part in chunks(scaled):
            scaled[part] = self._scaled(numbers[part])
        return scaled

    def _scaled(self, numbers: np.ndarray) -> np.ndarray:
        scaled = numbers.astype(np.float32) * np.float32(self.scale)
        return scaled if self.shift is None else scaled + np.float32(self.shift)

    def _transformed(self, table: Any) -> Any:
        try:
            return self.transformer.transform(table)
        except (TypeError, ValueError) as error:
            raise ExperimentError(
                f"`preprocess`: {type(self.transformer).__name__} cannot transform "
                f"rows it was not fitted on: {error}"
            ) from error


@dataclass(frozen=True, eq=False)
class PreparedFold:
    """A fold as a trainer takes it.

    Attributes:
        index: 0, 1, 2, …
        x: Preprocessed features of all rows; the very same object in every fold
            where preprocessing has nothing to fit, so that it is held once.
        y: Targets as in ``Dataset.y``.
        train: Row positions to train on. A position may occur more than once.
        train_sample: Row positions on which the train-side scores are read.
        validation: Row positions to validate on; empty when refitting.
        target_scaling: Of the training rows of a regression, for models that learn
            their targets scaled; None for classes and labels.
    """

    index: int
    x: Inputs
    y: np.ndarray
    train: np.ndarray
    train_sample: np.ndarray
    validation: np.ndarray
    target_scaling: TargetScaling | None = None


def prepare_folds(
    partition: Partition, preprocess: Any, kind: Kind
) -> tuple[PreparedFold, ...]:
    """Fit preprocessing on the training part of each fold and transform its rows.

    Args:
        partition: The data of the search.
        preprocess: None, "auto" or a scikit-learn transformer.
        kind: What the features are.
    """
    shared: Inputs | None = None
    prepared = []
    for fold in partition.folds:
        if shared is None:
            fitted = fit_preprocessing(
                preprocess, partition.x, partition.y, fold.train, kind
            )
            x = fitted.transform(partition.x)
            if not needs_fit(preprocess, kind):
                shared = x
        prepared.append(_prepared_fold(fold, x, partition.y))
    return tuple(prepared)


def prepare_refit(
    partition: Partition, preprocess: Any, kind: Kind
) -> tuple[PreparedFold, FittedPreprocessing]:
    """Prepare one fold that trains on every row that is not a test row."""
    rows = np.arange(len(partition.y))
    fitted = fit_preprocessing(preprocess, partition.x, partition.y, rows, kind)
    nothing = np.array([], dtype=np.int64)
    fold = PreparedFold(
        index=0,
        x=fitted.transform(partition.x),
        y=partition.y,
        train=rows,
        train_sample=nothing,
        validation=nothing,
        target_scaling=fit_target_scaling(partition.y, rows),
    )
    return fold, fitted


def needs_fit(preprocess: Any, kind: Kind) -> bool:
    """Whether preprocessing learns anything from the rows."""
    if preprocess is None:
        return False
    return preprocess != "auto" or kind in (Kind.TABULAR, Kind.SEQUENCE)


def fit_preprocessing(
    preprocess: Any, x: Inputs, y: np.ndarray, rows: np.ndarray, kind: Kind
) -> FittedPreprocessing:
    """Fit preprocessing on the given rows.

    Args:
        preprocess: None, "auto" or a scikit-learn transformer, which is cloned.
        x: Raw features of all rows. Of the other rows only the *schema* is read:
            which columns there are and which categories a column may hold.
        y: Targets of all rows, for transformers that want them.
        rows: Positions to fit on.
        kind: What the features are.

    Raises:
        ExperimentError: The transformer rejects the rows, or there are several inputs.
    """
    if kind is Kind.SEVERAL and preprocess not in (None, "auto"):
        raise ExperimentError(
            f"`preprocess`: {type(preprocess).__name__} cannot take several inputs. "
            "Preprocess them in the model, for instance by keras.layers.Normalization."
        )
    if preprocess is None or kind is Kind.SEVERAL:
        return FittedPreprocessing()
    if preprocess != "auto":
        return _fit_transformer(clone(preprocess), x, y, rows)
    if kind is Kind.IMAGE:
        return _pixel_scale(np.asarray(x))
    if kind is Kind.SEQUENCE:
        return _standardise_last_axis(np.asarray(x)[rows])
    return _fit_transformer(_table_transformer(x), x, y, rows)


def plain_table(table: Any) -> Any:
    """Return rows as transformers get them, the same whatever type they came in.

    Numbers become float64, so that a model registered with float32 rows gives the very
    same bits for float64 ones; categories become text, missing ones NaN.
    """
    if not isinstance(table, pd.DataFrame):
        return table.astype(np.float64) if table.dtype.kind in "fiub" else table
    text = text_columns(table)
    return table.assign(
        **{
            name: table[name].astype(object).map(_as_category).astype(object)
            if name in text
            else table[name].astype(np.float64)
            for name in table.columns
        }
    )


def _as_category(value: Any) -> Any:
    """Write a category as text: 1, 1.0 and "1" are the same one."""
    if pd.isna(value):
        return np.nan
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)


def text_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns that hold categories rather than numbers."""
    return [str(name) for name in table.columns if is_text(table[name])]


def is_text(column: pd.Series) -> bool:
    """Whether a column holds categories rather than numbers."""
    return not (
        pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    )


def as_model_numbers(x: Any) -> np.ndarray:
    """Return an array a Keras model takes: float32, or integers as they are."""
    array = np.asarray(x)
    if array.dtype.kind == "f" or array.dtype.kind == "b":
        return array.astype(np.float32, copy=False)
    if array.dtype.kind in "iu":
        return array
    try:
        return array.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"features of type {array.dtype} are not numbers ({error}). Use "
            "`preprocess='auto'` for tables with categories, or a transformer."
        ) from error


def _prepared_fold(fold: Fold, x: Inputs, y: np.ndarray) -> PreparedFold:
    return PreparedFold(
        index=fold.index,
        x=x,
        y=y,
        train=fold.train,
        train_sample=_train_sample(fold),
        validation=fold.validation,
        target_scaling=fit_target_scaling(y, fold.train),
    )


def _train_sample(fold: Fold, at_least: int = 2000) -> np.ndarray:
    """Evenly spread training rows, as many as validation rows.

    Scoring them is a share of the epoch's cost, and a train score more precise than
    the validation score it is compared with would tell nothing more.
    """
    size = min(len(fold.train), max(len(fold.validation), at_least))
    return fold.train[np.linspace(0, len(fold.train) - 1, size).astype(np.int64)]


def _fit_transformer(
    transformer: Any, x: Inputs, y: np.ndarray, rows: np.ndarray
) -> FittedPreprocessing:
    try:
        transformer.fit(plain_table(take_rows(x, rows)), y[rows])
    except Exception as error:
        raise ExperimentError(
            f"`preprocess`: {type(transformer).__name__} cannot be fitted: {error}"
        ) from error
    return FittedPreprocessing(transformer=transformer)


def _pixel_scale(x: np.ndarray) -> FittedPreprocessing:
    # A fixed factor, not one learned from the rows, so there is nothing to leak.
    largest = float(x.max())
    full = next((scale for scale in FULL_SCALES if largest <= scale), largest)
    is_scaled = full == 1.0 and np.issubdtype(x.dtype, np.floating)
    return FittedPreprocessing(scale=None if is_scaled else 1.0 / full)


def _standardise_last_axis(x: np.ndarray) -> FittedPreprocessing:
    if x.dtype.kind in "iu":  # token numbers for an embedding
        return FittedPreprocessing()
    features = x.reshape(-1, x.shape[-1]).astype(np.float64)
    mean, deviation = np.nanmean(features, axis=0), np.nanstd(features, axis=0)
    # A constant deviates by rounding alone; dividing by that would blow it up.
    is_constant = deviation <= np.finfo(np.float32).eps * np.abs(mean)
    scale = 1.0 / np.where(is_constant, 1.0, deviation)
    return FittedPreprocessing(scale=scale, shift=-mean * scale)


_CATEGORIES = "categories"


def known_categories(transformer: Any) -> dict[str, list[str]]:
    """Return the categories of each text column that ``"auto"`` has encoded.

    A transformer of the user's own decides itself what to do about unknown ones.
    """
    parts = getattr(transformer, "transformers_", ())
    for name, part, columns in parts:
        if name == _CATEGORIES and hasattr(part, "steps"):
            encoder = part.steps[-1][1]
            return {
                str(column): [str(c) for c in categories if c != MISSING]
                for column, categories in zip(columns, encoder.categories_, strict=True)
            }
    return {}


def _table_transformer(x: Inputs) -> Any:
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    if not isinstance(x, pd.DataFrame):
        return numbers
    table = plain_table(x)
    text = text_columns(table)
    for name in text:
        _check_no_free_text(table[name])
    others = [name for name in table.columns if name not in text]
    parts = [("numbers", numbers, others)] if others else []
    few = [name for name in text if not is_hashed(table[name])]
    if few:
        parts.append((_CATEGORIES, _category_encoder(table[few]), few))
    # One at a time, so that equal words in two columns do not meet.
    parts += [(f"hashed {name}", _hasher(), [name]) for name in text if name not in few]
    return ColumnTransformer(parts)


def is_hashed(column: pd.Series) -> bool:
    """Whether a column of categories has too many of them for a column each."""
    return int(column.nunique()) > MOST_CATEGORIES


def _check_no_free_text(column: pd.Series) -> None:
    """Refuse sentences: as categories they would all be different.

    Raises:
        ExperimentError: The column holds them.
    """
    known = column.dropna()
    n_different = int(known.nunique())
    if n_different <= max(MOST_CATEGORIES, len(known) // 2):
        return
    n_words = float(np.mean([len(str(text).split()) for text in known.head(1000)]))
    if n_words >= WORDS_OF_TEXT:
        raise ExperimentError(
            f"column {column.name!r} holds free text ({n_different} different texts of "
            f"{n_words:.0f} words), which `preprocess='auto'` does not learn from. "
            "Drop it, or give a ColumnTransformer with TfidfVectorizer as `preprocess`."
        )


def _category_encoder(columns: pd.DataFrame) -> Any:
    """One-hot, over every category of the data so that all folds are equally wide."""
    categories = [sorted(set(columns[name].dropna()) | {MISSING}) for name in columns]
    return make_pipeline(
        SimpleImputer(strategy="constant", fill_value=MISSING),
        OneHotEncoder(
            categories=categories, handle_unknown="ignore", sparse_output=False
        ),
    )


def _hasher() -> Any:
    """Hash categories into a fixed number of columns; nothing is fitted.

    The hash is the same on every machine, and a category never seen before finds a
    place, too. Every part is scikit-learn's, so the model loads without ktune.

    Source:
        Weinberger et al., Feature Hashing for Large Scale Multitask Learning, ICML
        2009, arXiv 0902.2206.
    """
    return make_pipeline(
        SimpleImputer(strategy="constant", fill_value=MISSING),
        FunctionTransformer(np.ravel),
        HashingVectorizer(
            token_pattern=r"(?s).+",  # all of it is one token
            lowercase=False,
            norm=None,
            n_features=N_HASHES,
            dtype=np.float32,
        ),
    )


def _dense(x: Any) -> np.ndarray:
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x)
