"""Files of rows and outputs for another process: a table as parquet, arrays as npz."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.dataset import Inputs
from ktune.data.table_and_images import TABLE, has_table_beside

SINGLE_INPUT = "rows"
"""Name of the input of a model with a single input."""


_TABLE_BESIDE = "rows-table.parquet"


def write_rows_file(rows: Inputs, folder: Path) -> Path:
    """Write rows of any form to a file; return its path."""
    if isinstance(rows, pd.DataFrame):
        path = folder / "rows.parquet"
        rows.to_parquet(path)
        return path
    path = folder / "rows.npz"
    arrays: dict[str, Any] = dict(as_arrays(rows))
    if has_table_beside(rows):
        rows[TABLE].to_parquet(folder / _TABLE_BESIDE)
        del arrays[TABLE]
    np.savez(path, **arrays)
    return path


def read_rows_file(path: Path) -> dict[str, Any]:
    """Return the rows of a file by input name; a table has `SINGLE_INPUT`."""
    if path.suffix == ".parquet":
        return {SINGLE_INPUT: pd.read_parquet(path)}
    beside = path.with_name(_TABLE_BESIDE)
    table = {TABLE: pd.read_parquet(beside)} if beside.is_file() else {}
    with np.load(path, allow_pickle=False) as file:
        return {**table, **{name: file[name] for name in file.files}}


def as_arrays(rows: Inputs) -> Mapping[str, np.ndarray]:
    """Return rows as one array per input."""
    if isinstance(rows, Mapping):
        return {name: np.asarray(part) for name, part in rows.items()}
    return {SINGLE_INPUT: np.asarray(rows)}


_OUTPUTS = "outputs"


def write_outputs(path: Path, outputs: Any, **more: Any) -> None:
    """Write one output, or several by name, and further values to an npz file."""
    parts = outputs if isinstance(outputs, Mapping) else {"": outputs}
    named = {f"{_OUTPUTS}/{name}" if name else _OUTPUTS: p for name, p in parts.items()}
    np.savez(path, **named, **more)


def read_outputs(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the outputs and the further values of `write_outputs`."""
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    prefix = f"{_OUTPUTS}/"
    outputs = {
        n.removeprefix(prefix): p for n, p in found.items() if n.startswith(prefix)
    }
    more = {name: part for name, part in found.items() if not name.startswith(_OUTPUTS)}
    return outputs or found[_OUTPUTS], more
