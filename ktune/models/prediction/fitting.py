"""Convert rows of a file to the form that a registered model expects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.files import header_hint
from ktune.data.image_column import read_row_images
from ktune.data.image_pixels import ImageForm
from ktune.data.table_source import IMAGE_COLUMN
from ktune.errors import DataError
from ktune.models.prediction.images import read_images
from ktune.models.prediction.reading import NewRows, choose_array, read_rows
from ktune.utils.text import did_you_mean


@dataclass(frozen=True, eq=False)
class FittedRows:
    """Rows in the form of the model.

    Attributes:
        name: The file or folder, for messages.
        rows: A table, an array, or one array per input.
        files: The file of each row, for images.
        notes: Notes on conversions for the user.
    """

    name: str
    rows: Any
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_rows(
    path: Path,
    spec: Mapping[str, Any],
    array: str | None,
    written: Mapping[str, Any] | None = None,
) -> FittedRows:
    """Read rows for a model.

    Args:
        path: A csv, parquet, npz or npy file, or a folder of images.
        spec: Specification of the model, see `ktune.models.registry.packaging`.
        array: Name of the array in an npz file with several arrays.
        written: Fields of a `ktune.data.TableFormat` in which a table differs from
            that of the training rows.

    Raises:
        DataError: The file is missing, or does not match the model.
    """
    if path.is_dir():
        return _images(path, spec)
    read = read_rows(path, spec, written or {})
    if spec.get("table_input"):
        return _table_and_images(read, path.parent, spec)
    if spec["input_names"]:
        return _several(read, spec)
    if isinstance(read.content, pd.DataFrame):
        if spec["columns"]:
            return _table(read, read.content, spec["columns"])
        return _numbers_of_table(read, read.content, spec)
    rows = _of_shape(read.name, choose_array(read, array), spec)
    if spec["columns"]:
        return FittedRows(read.name, pd.DataFrame(rows, columns=spec["columns"]))
    return FittedRows(read.name, rows)


def _table(read: NewRows, table: pd.DataFrame, columns: list[str]) -> FittedRows:
    table = table.rename(columns=str)
    known = set(columns)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        others = [name for name in table.columns if name not in known]
        extra = f"; it has {_listed(others)} instead" if others else ""
        raise DataError(
            f"{read.name}: column {missing[0]!r} is missing"
            f"{_more(missing)}{extra}. The model takes: {_listed(columns)}."
            + did_you_mean(missing[0], others)
            + header_hint(others)
        )
    ignored = [name for name in table.columns if name not in known]
    unused = (f"not used by the model: {_listed(ignored)}",) if ignored else ()
    _check_not_empty(read.name, len(table))
    return FittedRows(read.name, table[columns], notes=(*read.notes, *unused))


def _table_and_images(
    read: NewRows, folder: Path, spec: Mapping[str, Any]
) -> FittedRows:
    """Decode the images of a table whose rows have paths, relative to its folder."""
    images = spec["images_input"]
    column = (spec["reading"] or {}).get(IMAGE_COLUMN, images)
    if not isinstance(read.content, pd.DataFrame):
        raise DataError(
            f"{read.name}: the model takes a table with images. Give a csv, xlsx or "
            f"parquet file whose column {column!r} has the path of an image in each "
            "row."
        )
    fitted = _table(read, read.content, [*spec["columns"], column])
    height, width, channels = spec["input_shape"][images]
    form = ImageForm(height, width, greyscale=channels == 1)
    decoded = read_row_images(fitted.rows[column], form, folder, name=read.name)
    rows = {spec["table_input"]: fitted.rows[spec["columns"]], images: decoded.pixels}
    return replace(fitted, rows=rows)


def _numbers_of_table(
    read: NewRows, table: pd.DataFrame, spec: Mapping[str, Any]
) -> FittedRows:
    """Convert a table for a model of arrays: columns by position, such as pixels."""
    text = [name for name in table.columns if not _is_numeric(table[name])]
    if text:
        value = next(v for v in table[text[0]] if not _is_number(v))
        raise DataError(
            f"{read.name}: column {text[0]!r} holds {value!r}; the model takes numbers."
        )
    rows = _of_shape(read.name, table.to_numpy(), spec)
    return FittedRows(read.name, rows, notes=read.notes)


def _several(read: NewRows, spec: Mapping[str, Any]) -> FittedRows:
    names = spec["input_names"]
    arrays = read.content
    if isinstance(arrays, pd.DataFrame):
        raise DataError(
            f"{read.name}: the model has {len(names)} inputs ({_listed(names)}). Give "
            "an npz file with an array of that name for each."
        )
    missing = [name for name in names if name not in arrays]
    if missing:
        raise DataError(
            f"{read.name}: array {missing[0]!r} is missing; there are "
            f"{_listed(list(arrays))}. The model takes {_listed(names)}."
            + did_you_mean(missing[0], arrays)
        )
    return FittedRows(read.name, {name: arrays[name] for name in names})


def _images(folder: Path, spec: Mapping[str, Any]) -> FittedRows:
    if spec["input_names"] or spec["columns"]:
        raise DataError(
            f"{folder} is a folder, but the model takes tables or several inputs. Give "
            "a csv, parquet or npz file."
        )
    images = read_images(folder, tuple(spec["input_shape"]))
    height, width = spec["input_shape"][:2]
    notes = (f"images of another size are resized to {height}×{width}",)
    full = _full_light(spec)
    pixels = images.pixels
    if full != 255:
        pixels = pixels.astype(np.float32) * np.float32(full / 255)
    return FittedRows(str(folder), pixels, images.files, notes)


def _full_light(spec: Mapping[str, Any]) -> float:
    """Return the value of white pixels in the rows of the model."""
    if isinstance(spec["scale"], float | int) and spec["scale"]:
        return round(1.0 / spec["scale"], 6)
    is_integer = np.dtype(spec["input_type"]).kind in "iu"
    return 255.0 if is_integer else 1.0


def _of_shape(name: str, rows: np.ndarray, spec: Mapping[str, Any]) -> np.ndarray:
    shape = tuple(spec["input_shape"])
    width = int(np.prod(shape))
    fits = rows.ndim > 1 and (
        rows.shape[1:] == shape or (rows.ndim == 2 and rows.shape[1] == width)
    )
    if not fits:
        flat = f", or rows of {width} numbers" if len(shape) > 1 else ""
        raise DataError(
            f"{name}: the rows have shape {tuple(rows.shape[1:])}; the model takes "
            f"rows of shape {shape}{flat}."
        )
    if rows.dtype.kind not in "biuf":
        raise DataError(f"{name}: the rows are of type {rows.dtype}, not numbers.")
    _check_not_empty(name, len(rows))
    return rows.reshape((-1, *shape))


def _check_not_empty(name: str, n_rows: int) -> None:
    if n_rows == 0:
        raise DataError(f"{name} has no rows.")


def _is_numeric(column: pd.Series) -> bool:
    return bool(
        pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _listed(names: list[str], at_most: int = 20) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:at_most])
    return shown + (", …" if len(names) > at_most else "")


def _more(missing: list[str]) -> str:
    return f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
