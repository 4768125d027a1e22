"""Preprocessing that a float tensor can carry: read off the fitted transformer.

What is done to each number by itself (filling in missing ones, shifting, scaling) can
stand inside an exported model. What is done to text cannot, nor what mixes columns.
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
    """Missing numbers become these, one a column."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Affine:
    """A number becomes ``(x - center) * factor + summand``; None stands for "not"."""

    factor: np.ndarray | float
    center: np.ndarray | float | None = None
    summand: np.ndarray | float | None = None


Step: TypeAlias = Fill | Affine


@dataclass(frozen=True, eq=False)
class Block:
    """Columns that go through the same steps.

    Attributes:
        columns: Their positions; None: the whole row, of any shape.
        steps: What is done to them, in this order.
    """

    columns: tuple[int, ...] | None
    steps: tuple[Step, ...]


class NotCarried(Exception):
    """This preprocessing cannot stand inside; the message says why."""


def carry(
    preprocessing: FittedPreprocessing, columns: Sequence[str] = ()
) -> tuple[Block, ...]:
    """Return preprocessing as blocks of steps, whose results stand side by side.

    Args:
        preprocessing: Fitted.
        columns: Names of the columns of a table; empty for arrays.

    Returns:
        Blocks in the order of their results; empty: rows stay as they are.

    Raises:
        NotCarried: It is more than steps on single numbers.

    Example:
        >>> block, = carry(FittedPreprocessing(scale=1 / 255))
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
        raise NotCarried("it is scaled column by column after columns were rearranged")
    return tuple(Block(b.columns, (*b.steps, scaling)) for b in blocks)


def _blocks(transformer: Any, columns: list[str]) -> tuple[Block, ...]:
    if not isinstance(transformer, ColumnTransformer):
        return (Block(None, _steps(transformer)),)
    found = []
    for name, part, wanted in transformer.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        positions = _positions(wanted, columns, transformer.n_features_in_)
        if positions:  # a part without columns is not even fitted
            found.append(Block(positions, _steps(part, name)))
    return tuple(found)


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
        raise NotCarried(f"{where} is more than filling in, shifting and scaling")
    return reader(part)


def _filling(imputer: SimpleImputer) -> tuple[Step, ...]:
    try:
        values = np.asarray(imputer.statistics_, dtype=np.float64)
    except ValueError as error:
        raise NotCarried(
            "categories are text, which a tensor of numbers cannot hold"
        ) from error
    is_plain = np.isfinite(values).all()
    marks_nan = isinstance(imputer.missing_values, float) and np.isnan(
        imputer.missing_values
    )
    if imputer.add_indicator or not is_plain or not marks_nan:
        raise NotCarried("SimpleImputer fills in more than numbers, or adds columns")
    return (Fill(values),)


def _standardising(scaler: StandardScaler) -> tuple[Step, ...]:
    return _affine(scaler.mean_ if scaler.with_mean else None, scaler.scale_)


def _robust(scaler: RobustScaler) -> tuple[Step, ...]:
    return _affine(scaler.center_, scaler.scale_)


def _largest(scaler: MaxAbsScaler) -> tuple[Step, ...]:
    if getattr(scaler, "clip", False):
        raise NotCarried("MaxAbsScaler clips")
    return _affine(None, scaler.scale_)


def _range(scaler: MinMaxScaler) -> tuple[Step, ...]:
    if scaler.clip:
        raise NotCarried("MinMaxScaler clips")
    lowest = float(scaler.feature_range[0])
    return (Affine(scaler.scale_, scaler.data_min_, lowest or None),)


def _function(transformer: FunctionTransformer) -> tuple[Step, ...]:
    if transformer.func is not None:
        raise NotCarried("FunctionTransformer calls a function of yours")
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
