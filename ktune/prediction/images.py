"""Read a folder of images as the rows of a model that takes images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktune.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Decoded images.

    Attributes:
        files: Path of each, relative to the folder, in the order of the rows.
        pixels: uint8 of shape (n, height, width) or (n, height, width, channels).
        n_resized: How many had another size.
    """

    files: tuple[str, ...]
    pixels: np.ndarray
    n_resized: int


def read_images(folder: Path, shape: tuple[int, ...]) -> ImageRows:
    """Decode all images in a folder and below it, in the order of their names.

    Args:
        folder: Where they are.
        shape: Of one row: (height, width), or (height, width, channels) with 1, 3 or
            4 channels. Images of another size are resized, bilinear.

    Raises:
        DataError: There is none, one is not readable, or the model takes no images.
    """
    mode = _mode(folder, shape)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not files:
        raise DataError(
            f"{folder}: there is no image in this folder or below it "
            f"({', '.join(ENDINGS)})."
        )
    decoded = [_decode(path, mode, shape) for path in files]
    pixels = np.stack([image for image, _ in decoded])
    return ImageRows(
        files=tuple(str(path.relative_to(folder)) for path in files),
        pixels=pixels.reshape((-1, *shape)),
        n_resized=sum(is_resized for _, is_resized in decoded),
    )


def _mode(folder: Path, shape: tuple[int, ...]) -> str:
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    channels = shape[2] if len(shape) == 3 else 1
    if len(shape) not in (2, 3) or channels not in modes:
        raise DataError(
            f"{folder} is a folder, but the model takes rows of shape {shape}, which "
            "are no images. Give a csv, parquet or npz file."
        )
    return modes[channels]


def _decode(path: Path, mode: str, shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    from PIL import Image

    try:
        with Image.open(path) as file:
            image = file.convert(mode)
    except OSError as error:
        raise DataError(f"{path} is not a readable image: {error}") from error
    size = (shape[1], shape[0])  # Pillow counts width first
    if image.size == size:
        return np.asarray(image), False
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR)), True
