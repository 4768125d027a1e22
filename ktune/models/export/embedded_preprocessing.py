"""Convert a fitted transformer to preprocessing that can be embedded in a model.

Operations on single numbers (imputing, shifting, scaling) can be embedded in an
exported model. Operations on text, or across columns, cannot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from ktune.data.preprocessing import FittedPreprocessing


@dataclass(frozen=True, eq=False)
class Fill:
    """Replaces missing numbers by these values, one per column."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Affine:
    """Computes ``(x - center) * factor + summand``; None omits a term."""

    factor: np.ndarray | float
    center: np.ndarray | float | None = None
    summand: np.ndarray | float | None = None


Step: TypeAlias = Fill | Affine


@dataclass(frozen=True, eq=False)
class Block:
    """Columns with the same steps.

    Attributes:
        columns: Their positions; None for the whole row of any shape.
        steps: Operations in order.
    """

    columns: tuple[int, ...] | None
    steps: tuple[Step, ...]


class NotEmbeddable(Exception):
    """The preprocessing cannot be embedded; the message says why."""


def embed(
    preprocessing: FittedPreprocessing, columns: Sequence[str] = ()
) -> tuple[Block, ...]:
    """Return preprocessing as blocks of steps, whose results are concatenated.

    Args:
        preprocessing: The fitted preprocessing.
        columns: Names of the columns of a table; empty for arrays.

    Returns:
        Blocks in the order of their results; empty for unchanged rows.

    Raises:
        NotEmbeddable: It includes operations other than those on single numbers.

    Example:
        >>> block, = embed(FittedPreprocessing(scale=1 / 255))
        >>> float(block.steps[0].factor) * 255
        1.0
    """
    blocks: tuple[Block, ...] = ()
    if preprocessing.transformer is not None:
        blocks = _blocks(preprocessing.transformer, list(columns))
    if preprocessing.scale is None:
        return blocks
    scaling = Affine(preprocessing.scale, summand=preprocessing.shift)
    if not blocks:
        return (Block(None, (scaling,)),)
    if np.ndim(preprocessing.scale) > 0 and len(blocks) > 1:
        raise NotEmbeddable("it scales single columns after rearranging columns")
    return tuple(Block(b.columns, (*b.steps, scaling)) for b in blocks)


def _blocks(transformer: Any, columns: list[str]) -> tuple[Block, ...]:
    if not isinstance(transformer, ColumnTransformer):
        return (Block(None, _steps(transformer)),)
    blocks = []
    for name, part, wanted in transformer.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        positions = _positions(wanted, columns, transformer.n_features_in_)
        if positions:  # a part without columns is not fitted
            blocks.append(Block(positions, _steps(part, name)))
    return tuple(blocks)


def _positions(wanted: Any, columns: list[str], n_columns: int) -> tuple[int, ...]:
    if isinstance(wanted, str):
        wanted = [wanted]
    if isinstance(wanted, slice):
        return tuple(range(n_columns)[wanted])
    chosen = list(wanted)
    if not chosen:
        return ()
    if all(isinstance(item, str) for item in chosen):
        return tuple(columns.index(item) for item in chosen)
    return tuple(int(index) for index in np.arange(n_columns)[np.asarray(chosen)])


def _steps(part: Any, name: str = "") -> tuple[Step, ...]:
    """Return the steps of a transformer of single columns."""
    if isinstance(part, Pipeline):
        return tuple(step for _, p in part.steps for step in _steps(p, name))
    if isinstance(part, str) and part == "passthrough":
        return ()
    kind = type(part)
    reader = _READERS.get(kind)
    if reader is None:
        where = f"{kind.__name__} of {name}" if name else kind.__name__
        raise NotEmbeddable(f"{where} does more than imputing, shifting and scaling")
    return reader(part)


def _filling(imputer: SimpleImputer) -> tuple[Step, ...]:
    try:
        values = np.asarray(imputer.statistics_, dtype=np.float64)
    except ValueError as error:
        raise NotEmbeddable(
            "categories are text, which a tensor of numbers cannot contain"
        ) from error
    is_plain = np.isfinite(values).all()
    marks_nan = isinstance(imputer.missing_values, float) and np.isnan(
        imputer.missing_values
    )
    if imputer.add_indicator or not is_plain or not marks_nan:
        raise NotEmbeddable("SimpleImputer imputes more than numbers, or adds columns")
    return (Fill(values),)


def _standardising(scaler: StandardScaler) -> tuple[Step, ...]:
    return _affine(scaler.mean_ if scaler.with_mean else None, scaler.scale_)


def _robust(scaler: RobustScaler) -> tuple[Step, ...]:
    return _affine(scaler.center_, scaler.scale_)


def _largest(scaler: MaxAbsScaler) -> tuple[Step, ...]:
    if getattr(scaler, "clip", False):
        raise NotEmbeddable("MaxAbsScaler clips")
    return _affine(None, scaler.scale_)


def _range(scaler: MinMaxScaler) -> tuple[Step, ...]:
    if scaler.clip:
        raise NotEmbeddable("MinMaxScaler clips")
    lowest = float(scaler.feature_range[0])
    return (Affine(scaler.scale_, scaler.data_min_, lowest or None),)


def _function(transformer: FunctionTransformer) -> tuple[Step, ...]:
    if transformer.func is not None:
        raise NotEmbeddable("FunctionTransformer calls a user-defined function")
    return ()


def _affine(center: Any, scale: Any) -> tuple[Step, ...]:
    factor = 1.0 if scale is None else 1.0 / np.asarray(scale, dtype=np.float64)
    return () if center is None and scale is None else (Affine(factor, center),)


_READERS: dict[type, Any] = {
    SimpleImputer: _filling,
    StandardScaler: _standardising,
    RobustScaler: _robust,
    MaxAbsScaler: _largest,
    MinMaxScaler: _range,
    FunctionTransformer: _function,
}
