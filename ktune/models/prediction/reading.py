"""Read new rows from a file: csv, parquet, npz, npy, or a folder of images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.csv_reader import read_csv
from ktune.data.parquet_reader import read_parquet
from ktune.data.unpacking import array_sizes, check_unpacked
from ktune.errors import DataError
from ktune.utils.text import did_you_mean

_ARRAY_NAMES = ("x", "X", "features", "data", "arr_0")


@dataclass(frozen=True, eq=False)
class NewRows:
    """Rows as they were read, before they are checked against a model.

    Attributes:
        name: The file or folder, for messages.
        content: A table, or arrays by name.
    """

    name: str
    content: pd.DataFrame | Mapping[str, np.ndarray]


def read_rows(path: Path) -> NewRows:
    """Read a file of rows; its ending says what it is.

    Raises:
        DataError: It is not there, not readable, or of another kind.
    """
    if not path.exists():
        folder = path.parent if path.parent.is_dir() else Path()
        near = [str(folder / other.name) for other in folder.iterdir()]
        raise DataError(
            f"there is no file {str(path)!r}.{did_you_mean(str(path), near)}"
        )
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: rows are read from {', '.join(_READERS)} files or from a folder "
            f"of images; got {path.suffix or 'no ending'!r}."
        )
    try:
        return NewRows(str(path), reader(path))
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def choose_array(rows: NewRows, wanted: str | None) -> np.ndarray:
    """Return the array of an npz file that holds the features.

    Args:
        rows: Arrays by name.
        wanted: Its name; None: the only one, or one of the usual names.

    Raises:
        DataError: It is not there, or several may be meant.
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
    found = [name for name in _ARRAY_NAMES if name in arrays]
    if len(found) == 1:
        return arrays[found[0]]
    raise DataError(
        f"{rows.name} holds several arrays: {listed}. Say which holds the features, "
        "for instance --array x_test."
    )


def _read_npz(path: Path) -> Mapping[str, np.ndarray]:
    check_unpacked(path, sum(array_sizes(path).values()))
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_npy(path: Path) -> Mapping[str, np.ndarray]:
    return {"arr_0": np.load(path, allow_pickle=False)}


def _read_csv(path: Path) -> pd.DataFrame:
    """Read it as for training; without names in line 1 if there are only numbers."""
    first = pd.read_csv(path, header=None, nrows=1)
    if all(pd.api.types.is_numeric_dtype(first[name]) for name in first):
        return pd.read_csv(path, header=None)
    return read_csv(path)


_READERS: Mapping[str, Callable[[Path], Any]] = {
    ".csv": _read_csv,
    ".parquet": read_parquet,
    ".npz": _read_npz,
    ".npy": _read_npy,
}
