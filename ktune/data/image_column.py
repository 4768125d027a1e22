"""Images beside a table: a column of the table has the path of each row's image."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ktune.data.image_files import Decoded, decode_all, image_form
from ktune.data.image_pixels import ImageForm
from ktune.data.large_arrays import empty
from ktune.errors import DataError
from ktune.utils.text import count_of

_SHOWN = 5


@dataclass(frozen=True)
class ImageColumn:
    """A column of paths to images, which become a second input of the model.

    Attributes:
        column: Name of the column; each row has the path of one image.
        size: Height and width to resize to; an int for squares.
        greyscale: One channel instead of three.
        folder: Folder of relative paths. None: the folder of the table's file; of a
            DataFrame, the working folder.
    """

    column: str
    size: int | tuple[int, int] = (128, 128)
    greyscale: bool = False
    folder: str | Path | None = None

    @property
    def form(self) -> ImageForm:
        """The form of the decoded images.

        Raises:
            DataError: The size is none.
        """
        return image_form(self.size, self.greyscale, name="images")


@dataclass(frozen=True, eq=False)
class RowImages:
    """The decoded images of the rows of a table.

    Attributes:
        pixels: uint8 of shape (n, height, width, channels).
        digest: Hash of paths and files.
    """

    pixels: np.ndarray
    digest: str


def as_image_column(images: "str | ImageColumn | None") -> ImageColumn | None:
    """Return the column of images of an argument ``images``."""
    return ImageColumn(images) if isinstance(images, str) else images


def read_row_images(
    paths: pd.Series, form: ImageForm, folder: Path, *, name: str
) -> RowImages:
    """Decode the image of each row.

    Args:
        paths: A path for each row; relative ones are below ``folder``.
        form: The form of the decoded images.
        folder: Folder of relative paths.
        name: Name of the table, for messages.

    Raises:
        DataError: A path is missing, or files cannot be decoded; the message names
            rows and files.
    """
    words = _words(paths, name)
    pixels, hasher = empty((len(words), *form.shape), np.uint8), hashlib.sha256()
    hasher.update(repr(form).encode())
    bad: list[tuple[int, Decoded]] = []
    files = [folder / word for word in words]
    for row, image in enumerate(decode_all(files, form)):
        if image.pixels is None:
            bad.append((row, image))
            continue
        pixels[row] = image.pixels
        hasher.update(image.digest)
    if bad:
        raise DataError(_bad_text(bad, words, f"{name}: column {paths.name!r}", folder))
    return RowImages(pixels, hasher.hexdigest())


def _words(paths: pd.Series, name: str) -> list[str]:
    is_text = [isinstance(path, str | Path) and bool(str(path)) for path in paths]
    if all(is_text):
        return [str(path).strip() for path in paths]
    row = is_text.index(False)
    value = paths.iloc[row]
    found = "no path" if pd.isna(value) or value == "" else f"{value!r}"
    raise DataError(
        f"{name}: column {paths.name!r} has {found} in row {row}; the path of an image "
        "is needed in every row. Correct or remove that row."
    )


def _bad_text(
    bad: Sequence[tuple[int, Decoded]], words: Sequence[str], where: str, folder: Path
) -> str:
    shown = "; ".join(
        f"row {row}: {words[row]!r} {image.problem}" for row, image in bad[:_SHOWN]
    )
    more = f"; … {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return (
        f"{where}: {count_of(len(bad), 'image')} of {len(words)} cannot be read: "
        f"{shown}{more}. Relative paths are looked up in {folder.resolve()}; correct "
        "or remove these rows."
    )
