"""The preprocessing of a table by "auto": numbers, categories and hashed categories."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    StandardScaler,
)

from ktune.data.dataset import Inputs
from ktune.errors import ExperimentError

MISSING = "(missing)"
"""The category of missing values."""

MOST_CATEGORIES = 100
"""Maximum number of categories for one-hot encoding; columns with more are hashed."""

N_HASHES = 128
"""Number of columns of a hashed column."""

WORDS_OF_TEXT = 4.0
"""Mean number of words from which different values are free text."""

_CATEGORIES = "categories"


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


def table_transformer(x: Inputs) -> Any:
    """Return the transformer of a table, not fitted yet; an array has numbers only."""
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
