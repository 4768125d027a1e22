"""Read a folder of images as the rows of an image model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktune.data.image_files import SUFFIXES, decode, find_images
from ktune.data.image_pixels import ImageForm, pillow_set_up
from ktune.errors import DataError


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Decoded images.

    Attributes:
        files: Path of each, relative to the folder, in the order of the rows.
        pixels: uint8 of shape (n, height, width) or (n, height, width, channels).
    """

    files: tuple[str, ...]
    pixels: np.ndarray


def read_images(folder: Path, shape: tuple[int, ...]) -> ImageRows:
    """Decode all images in a folder and its subfolders, as a search does.

    Args:
        folder: The folder.
        shape: Shape of one row: (height, width), or (height, width, channels) with 1
            or 3 channels. Images of another size are resized.

    Raises:
        DataError: There are no images, some are not readable, or the model is not one
            of images.
    """
    form = _form(folder, shape)
    paths = find_images(folder)
    if not paths:
        raise DataError(
            f"{folder}: there is no image in this folder or below it "
            f"({', '.join(SUFFIXES)})."
        )
    with pillow_set_up():
        decoded = [decode(path, form) for path in paths]
    corrupt = [f"{image.path}: {image.problem}" for image in decoded if image.problem]
    if corrupt:
        raise DataError(
            f"{len(corrupt)} of {len(paths)} images cannot be read: "
            f"{'; '.join(corrupt[:5])}"
        )
    pixels = np.stack([image.pixels for image in decoded if image.pixels is not None])
    return ImageRows(
        files=tuple(str(path.relative_to(folder)) for path in paths),
        pixels=pixels.reshape((-1, *shape)),
    )


def _form(folder: Path, shape: tuple[int, ...]) -> ImageForm:
    channels = shape[2] if len(shape) == 3 else 1
    if len(shape) not in (2, 3) or channels not in (1, 3):
        raise DataError(
            f"{folder} is a folder, but the model takes rows of shape {shape}, which "
            "are no images. Give a csv, parquet or npz file."
        )
    return ImageForm(shape[0], shape[1], greyscale=channels == 1)
