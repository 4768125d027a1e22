"""Read new rows from a file: csv, workbook, parquet, npz or npy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.parquet_reader import read_parquet
from ktune.data.unpacking import array_sizes, check_unpacked
from ktune.errors import DataError
from ktune.models.prediction.new_table import is_table, read_new_table
from ktune.utils.text import did_you_mean

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ARRAY_NAMES = ("x", "X", "features", "data", "arr_0")


@dataclass(frozen=True, eq=False)
class NewRows:
    """Rows of a file before they are checked against a model.

    Attributes:
        name: The file or folder, for messages.
        content: A table, or arrays by name.
        notes: Notes on the file.
    """

    name: str
    content: pd.DataFrame | Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()


def read_rows(
    path: Path, spec: Mapping[str, Any], written: Mapping[str, Any] = _NOTHING
) -> NewRows:
    """Read a file of rows in the format of its suffix.

    Args:
        path: The file.
        spec: Specification of the model; a table is read like its training table.
        written: Fields of a `ktune.data.TableFormat` in which this file differs.

    Raises:
        DataError: The file is missing, not readable, or of another format.
    """
    if not path.exists():
        folder = path.parent if path.parent.is_dir() else Path()
        near = [str(folder / other.name) for other in folder.iterdir()]
        raise DataError(
            f"there is no file {str(path)!r}.{did_you_mean(str(path), near)}"
        )
    reader = _READERS.get(path.suffix.lower())
    try:
        if reader is not None:
            return NewRows(str(path), reader(path))
        if is_table(path, spec):
            read = read_new_table(path, spec, written)
            return NewRows(str(path), read.frame, read.notes)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    raise DataError(
        f"{path}: rows are read from .csv, .xlsx, {', '.join(_READERS)} files or from "
        f"a folder of images; got {path.suffix or 'no suffix'!r}."
    )


def choose_array(rows: NewRows, wanted: str | None) -> np.ndarray:
    """Return the array of features in an npz file.

    Args:
        rows: Arrays by name.
        wanted: Its name; None: the only array, or one with a usual name.

    Raises:
        DataError: The array is missing, or several arrays are possible.
    """
    arrays = rows.content
    assert isinstance(arrays, Mapping)
    listed = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    if wanted is not None:
        if wanted not in arrays:
            raise DataError(
                f"{rows.name}: there is no array {wanted!r}; there are {listed}."
                + did_you_mean(wanted, arrays)
            )
        return arrays[wanted]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    usual = [name for name in _ARRAY_NAMES if name in arrays]
    if len(usual) == 1:
        return arrays[usual[0]]
    raise DataError(
        f"{rows.name} contains several arrays: {listed}. Name the array of features, "
        "for instance --array x_test."
    )


def _read_npz(path: Path) -> Mapping[str, np.ndarray]:
    check_unpacked(path, sum(array_sizes(path).values()))
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_npy(path: Path) -> Mapping[str, np.ndarray]:
    return {"arr_0": np.load(path, allow_pickle=False)}


def _read_parquet(path: Path) -> pd.DataFrame:
    return read_parquet(path).frame


_READERS: Mapping[str, Callable[[Path], Any]] = {
    ".parquet": _read_parquet,
    ".npz": _read_npz,
    ".npy": _read_npy,
}
