"""Preprocessing of rows, fitted on the training rows of each fold.

``preprocess="auto"`` by kind of features:

| features | preprocessing |
|---|---|
| numbers of a table | median for missing values, then standardised |
| at most 100 categories | one-hot, with a column for missing values |
| more categories | 128 columns by feature hashing |
| free text | an error: drop the column, or pass a transformer |
| images | scaled to 0 … 1 |
| sequences of numbers | standardised by feature; tokens are unchanged |
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

from ktune.data.dataset import Inputs, Kind, Targets, take_rows
from ktune.data.folds import Fold, Partition
from ktune.data.large_arrays import chunks, empty
from ktune.data.targets import TargetScaling, fit_target_scaling
from ktune.errors import DataError, ExperimentError

MISSING = "(missing)"
"""The category of missing values."""

MOST_CATEGORIES = 100
"""Maximum number of categories for one-hot encoding; columns with more are hashed."""

N_HASHES = 128
"""Number of columns of a hashed column."""

WORDS_OF_TEXT = 4.0
"""Mean number of words from which different values are free text."""

FULL_SCALES = (1.0, 255.0, 65535.0)
"""Largest pixel value: of scaled images, of 8 bits, of 16 bits."""


@dataclass(frozen=True, eq=False)
class FittedPreprocessing:
    """Fitted preprocessing, saved with the model.

    A row becomes ``transformer(row) * scale + shift``; None means no such step.

    Attributes:
        transformer: A fitted scikit-learn transformer.
        scale: Factor: a number, or one for each feature (last axis).
        shift: Summand, likewise.
    """

    transformer: Any = None
    scale: np.ndarray | float | None = None
    shift: np.ndarray | float | None = None

    @property
    def is_identity(self) -> bool:
        """Whether rows are only converted to another number type."""
        return self.transformer is None and self.scale is None

    def transform(self, x: Inputs) -> Inputs:
        """Return the rows as inputs of the model, floats as float32."""
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
    """A fold with preprocessed features, the input of a trainer.

    Attributes:
        index: 0, 1, 2, …
        x: Preprocessed features of all rows; the same object in all folds if the
            preprocessing has nothing to fit, to save memory.
        y: Targets as in ``Dataset.y``.
        train: Positions of training rows; a position may occur more than once.
        train_sample: Positions of the training rows that are scored.
        validation: Positions of validation rows; empty for a refit.
        target_scaling: Scaling of the targets of a regression, for models that learn
            scaled targets; None for classes and labels.
        weights: Weight of each row; None: all rows count the same.
    """

    index: int
    x: Inputs
    y: Targets
    train: np.ndarray
    train_sample: np.ndarray
    validation: np.ndarray
    target_scaling: TargetScaling | None = None
    weights: np.ndarray | None = None


def prepare_folds(
    partition: Partition, preprocess: Any, kind: Kind
) -> tuple[PreparedFold, ...]:
    """Fit preprocessing on the training part of each fold and transform its rows.

    Args:
        partition: The data of the search.
        preprocess: None, "auto" or a scikit-learn transformer.
        kind: Kind of the features.
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
        prepared.append(_prepared_fold(fold, x, partition))
    return tuple(prepared)


def prepare_refit(
    partition: Partition, preprocess: Any, kind: Kind
) -> tuple[PreparedFold, FittedPreprocessing]:
    """Prepare one fold that trains on all rows but the test rows."""
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
        weights=partition.weights,
    )
    return fold, fitted


def needs_fit(preprocess: Any, kind: Kind) -> bool:
    """Whether the preprocessing is fitted to rows."""
    if preprocess is None:
        return False
    return preprocess != "auto" or kind in (Kind.TABULAR, Kind.SEQUENCE)


def fit_preprocessing(
    preprocess: Any, x: Inputs, y: Targets, rows: np.ndarray, kind: Kind
) -> FittedPreprocessing:
    """Fit preprocessing on the given rows.

    Args:
        preprocess: None, "auto" or a scikit-learn transformer, which is cloned.
        x: Raw features of all rows. Of the other rows only the *schema* is used: the
            columns and their categories.
        y: Targets of all rows, for supervised transformers.
        rows: Positions of the rows to fit on.
        kind: Kind of the features.

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
    """Return rows in the form for transformers, independent of their number type.

    Numbers become float64, so that a model registered with float32 rows gives
    identical predictions for float64 rows; categories become text, missing ones NaN.
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
    """Return a category as text; 1, 1.0 and "1" are the same category."""
    if pd.isna(value):
        return np.nan
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)


def text_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns with categories."""
    return [str(name) for name in table.columns if is_text(table[name])]


def is_text(column: pd.Series) -> bool:
    """Whether a column has categories, not numbers."""
    return not (
        pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    )


def as_model_numbers(x: Any) -> np.ndarray:
    """Return an array for a Keras model: float32, or unchanged integers."""
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


def _prepared_fold(fold: Fold, x: Inputs, partition: Partition) -> PreparedFold:
    return PreparedFold(
        index=fold.index,
        x=x,
        y=partition.y,
        train=fold.train,
        train_sample=_train_sample(fold),
        validation=fold.validation,
        target_scaling=fit_target_scaling(partition.y, fold.train),
        weights=partition.weights,
    )


def _train_sample(fold: Fold, at_least: int = 2000) -> np.ndarray:
    """Return evenly spread training rows, at least as many as validation rows.

    Scoring all training rows would make epochs slower, and a training score that is
    more precise than the validation score is of no use.
    """
    size = min(len(fold.train), max(len(fold.validation), at_least))
    return fold.train[np.linspace(0, len(fold.train) - 1, size).astype(np.int64)]


def _fit_transformer(
    transformer: Any, x: Inputs, y: Targets, rows: np.ndarray
) -> FittedPreprocessing:
    is_plain = isinstance(y, np.ndarray) and y.ndim < 3
    try:
        transformer.fit(plain_table(take_rows(x, rows)), y[rows] if is_plain else None)
    except Exception as error:
        raise ExperimentError(
            f"`preprocess`: {type(transformer).__name__} cannot be fitted: {error}"
        ) from error
    return FittedPreprocessing(transformer=transformer)


def _pixel_scale(x: np.ndarray) -> FittedPreprocessing:
    # One of few fixed factors, not fitted to rows, so validation rows do not leak.
    largest = float(x.max())
    full = next((scale for scale in FULL_SCALES if largest <= scale), largest)
    is_scaled = full == 1.0 and np.issubdtype(x.dtype, np.floating)
    return FittedPreprocessing(scale=None if is_scaled else 1.0 / full)


def _standardise_last_axis(x: np.ndarray) -> FittedPreprocessing:
    if x.dtype.kind in "iu":  # token numbers for an embedding
        return FittedPreprocessing()
    features = x.reshape(-1, x.shape[-1]).astype(np.float64)
    mean, deviation = np.nanmean(features, axis=0), np.nanstd(features, axis=0)
    # The deviation of a constant is a rounding error; dividing by it would explode.
    is_constant = deviation <= np.finfo(np.float32).eps * np.abs(mean)
    scale = 1.0 / np.where(is_constant, 1.0, deviation)
    return FittedPreprocessing(scale=scale, shift=-mean * scale)


_CATEGORIES = "categories"


def known_categories(transformer: Any) -> dict[str, list[str]]:
    """Return the categories of each column that ``"auto"`` has encoded.

    Empty for a user's own transformer, which handles unknown categories itself.
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
    # One hasher for each column, so that equal words of two columns do not collide.
    parts += [(f"hashed {name}", _hasher(), [name]) for name in text if name not in few]
    return ColumnTransformer(parts)


def is_hashed(column: pd.Series) -> bool:
    """Whether a column has too many categories for one-hot encoding."""
    return int(column.nunique()) > MOST_CATEGORIES


def _check_no_free_text(column: pd.Series) -> None:
    """Refuse free text, whose values are nearly all different categories.

    Raises:
        ExperimentError: The column has free text.
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
    """Return a one-hot encoder of all categories, so that folds have equal columns."""
    categories = [sorted(set(columns[name].dropna()) | {MISSING}) for name in columns]
    return make_pipeline(
        SimpleImputer(strategy="constant", fill_value=MISSING),
        OneHotEncoder(
            categories=categories, handle_unknown="ignore", sparse_output=False
        ),
    )


def _hasher() -> Any:
    """Return a hasher of categories into a fixed number of columns.

    The hash is the same on all machines and works for new categories. All parts are
    from scikit-learn, so the model loads without ktune.

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
