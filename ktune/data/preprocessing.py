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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from ktune.data.dataset import Inputs, Kind, Targets, take_rows
from ktune.data.folds import Fold, Partition
from ktune.data.large_arrays import chunks, empty
from ktune.data.table_transformer import plain_table, table_transformer
from ktune.data.targets import TargetScaling, fit_target_scaling
from ktune.errors import DataError, ExperimentError

FULL_SCALES = (1.0, 255.0, 65535.0)
"""Largest pixel value: of scaled images, of 8 bits, of 16 bits."""


_FITTED = (Kind.TABULAR, Kind.SEQUENCE, Kind.TABLE_AND_IMAGES)


@dataclass(frozen=True, eq=False)
class FittedPreprocessing:
    """Fitted preprocessing, saved with the model.

    A row becomes ``transformer(row) * scale + shift``; None means no such step.

    Attributes:
        transformer: A fitted scikit-learn transformer.
        scale: Factor: a number, or one for each feature (last axis).
        shift: Summand, likewise.
        parts: The preprocessing of each of several inputs; the others are unchanged.
    """

    transformer: Any = None
    scale: np.ndarray | float | None = None
    shift: np.ndarray | float | None = None
    parts: Mapping[str, "FittedPreprocessing"] = field(default_factory=dict)

    @property
    def is_identity(self) -> bool:
        """Whether rows are only converted to another number type."""
        return self.transformer is None and self.scale is None and not self.parts

    def part(self, name: str) -> "FittedPreprocessing":
        """Return the preprocessing of one of several inputs."""
        return self.parts.get(name, FittedPreprocessing())

    @property
    def transformers(self) -> tuple[Any, ...]:
        """All fitted scikit-learn transformers."""
        every = (self, *self.parts.values())
        return tuple(p.transformer for p in every if p.transformer is not None)

    def transform(self, x: Inputs) -> Inputs:
        """Return the rows as inputs of the model, floats as float32."""
        if isinstance(x, Mapping):
            return {name: self.part(name).transform(x[name]) for name in x}
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
        if shared is None or needs_fit(preprocess, kind):
            fitted = fit_preprocessing(
                preprocess, partition.x, partition.y, fold.train, kind
            )
            shared = _transform(fitted, partition.x, shared)
        prepared.append(_prepared_fold(fold, shared, partition))
    return tuple(prepared)


def _transform(fitted: FittedPreprocessing, x: Inputs, before: Inputs | None) -> Inputs:
    """Transform all rows; inputs with nothing to fit are those of the fold before."""
    if not isinstance(x, Mapping) or not isinstance(before, Mapping):
        return fitted.transform(x)
    return {
        name: before[name]
        if fitted.part(name).transformer is None
        else fitted.part(name).transform(x[name])
        for name in x
    }


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
    return preprocess != "auto" or kind in _FITTED


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
    if kind is Kind.TABLE_AND_IMAGES:
        return _fit_parts(preprocess, x, y, rows)
    if preprocess != "auto":
        return _fit_transformer(clone(preprocess), x, y, rows)
    if kind is Kind.IMAGE:
        return _pixel_scale(np.asarray(x))
    if kind is Kind.SEQUENCE:
        return _standardise_last_axis(np.asarray(x)[rows])
    return _fit_transformer(table_transformer(x), x, y, rows)


def _fit_parts(
    preprocess: Any, x: Any, y: Targets, rows: np.ndarray
) -> FittedPreprocessing:
    """Fit the preprocessing of the table; "auto" scales the images beside it."""
    kinds = {
        name: Kind.TABULAR if isinstance(part, pd.DataFrame) else Kind.IMAGE
        for name, part in x.items()
    }
    parts = {
        name: fit_preprocessing(
            preprocess if kind is Kind.TABULAR else "auto", x[name], y, rows, kind
        )
        for name, kind in kinds.items()
    }
    return FittedPreprocessing(parts=parts)


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


def _dense(x: Any) -> np.ndarray:
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x)
