"""A table with images beside it: two inputs, each preprocessed by its kind."""

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from ktune.data.image_pixels import as_base64
from ktune.errors import DataError

TABLE = "table"
"""Name of the input with the preprocessed columns of the table."""

IMAGES = "images"
"""Name of the input with the images."""


def table_of(x: Any) -> pd.DataFrame | None:
    """Return the table of some features, also of several inputs; None without one."""
    if isinstance(x, Mapping):
        x = x.get(TABLE)
    return x if isinstance(x, pd.DataFrame) else None


def has_table_beside(x: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether features are a table and further inputs."""
    return isinstance(x, Mapping) and table_of(x) is not None


def check_table_and_images(x: Mapping[str, Any], *, name: str) -> None:
    """Check that inputs are a table and images of 8 bits.

    Raises:
        DataError: They are something else.
    """
    table: Any = x.get(TABLE)
    images: Any = x.get(IMAGES)
    is_table = isinstance(table, pd.DataFrame) and set(x) == {TABLE, IMAGES}
    shape, dtype = np.shape(images), getattr(images, "dtype", None)
    if not is_table or len(shape) != 4 or shape[-1] not in (1, 3) or dtype != np.uint8:
        raise DataError(
            f"{name}: kind 'table_and_images' needs a dict of {TABLE!r}, a DataFrame, "
            f"and {IMAGES!r}, an array of uint8 of shape (n, height, width, 1 or 3). "
            "Use ktune.data.table(..., images='…')."
        )
    if IMAGES in table.columns:
        raise DataError(
            f"{name}: a feature of the table is called {IMAGES!r}, the name of the "
            "input of images. Rename the column."
        )
    if len(table) != len(images):
        raise DataError(
            f"{name}: the table has {len(table)} rows, but there are {len(images)} "
            "images."
        )


def joined(x: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table with its images as a column of arrays, as a model is served."""
    return x[TABLE].assign(**{IMAGES: list(x[IMAGES])})


def as_request(x: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table with its images as base64 text, as a request has them."""
    return x[TABLE].assign(**{IMAGES: list(map(as_base64, x[IMAGES]))})
