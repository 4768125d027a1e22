"""Decode image files, none of which is trusted."""

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktune.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")
"""Files with other endings are no images; their letters may be large or small."""

MOST_PIXELS = 50_000_000
"""Larger images are refused before they are decoded: a few hundred bytes can unpack to
gigabytes of one colour."""

MOST_BYTES = 2**29

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")


@dataclass(frozen=True)
class ImageForm:
    """What every image is made into.

    Attributes:
        height: In pixels.
        width: In pixels.
        greyscale: One channel instead of red, green and blue.
    """

    height: int
    width: int
    greyscale: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (height, width, channels)."""
        return (self.height, self.width, 1 if self.greyscale else 3)


@dataclass(frozen=True, eq=False)
class Decoded:
    """What became of one file.

    Attributes:
        path: Of the file.
        digest: Hash of its bytes.
        pixels: As uint8; None: it cannot be decoded.
        problem: Why not.
    """

    path: Path
    digest: bytes = b""
    pixels: np.ndarray | None = None
    problem: str = ""


def decode(path: Path, form: ImageForm) -> Decoded:
    """Read one image file, turn it upright, and bring it into form.

    Never raises for what is wrong with the file.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            return Decoded(path, problem=f"larger than {MOST_BYTES >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        return Decoded(path, problem=f"not readable ({error.strerror})")
    digest = hashlib.sha256(content).digest()
    try:
        return Decoded(path, digest, _pixels(content, form))
    except _TooLarge as error:
        return Decoded(path, digest, problem=str(error))
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        struct.error,
        zlib.error,
        MemoryError,
    ) as error:
        # Pillow's decoders raise any of these for damaged files.
        told = "no image" if "cannot identify" in str(error) else str(error)
        return Decoded(path, digest, problem=f"damaged: {told}")


class _TooLarge(Exception):
    """More pixels than an image of a data set has."""


def _pixels(content: bytes, form: ImageForm) -> np.ndarray:
    from PIL import Image, ImageOps

    image: Any = Image.open(io.BytesIO(content), formats=_FORMATS)
    width, height = image.size  # read off the header, nothing is decoded yet
    if width * height > MOST_PIXELS:
        raise _TooLarge(
            f"too large: {width}×{height} pixels, more than {MOST_PIXELS:,}"
        )
    mode = "L" if form.greyscale else "RGB"
    # JPEG can be decoded at a half, quarter or eighth of its size, much faster.
    image.draft(mode, (2 * form.width, 2 * form.height))
    image = _eight_bits(ImageOps.exif_transpose(image)).convert(mode)
    size = (form.width, form.height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).reshape(form.shape)


@contextmanager
def pillow_set_up() -> Iterator[None]:
    """Let our own limit of pixels be the only one, and no oddity of a file be told."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _eight_bits(image: Any) -> Any:
    """Bring sixteen bits to eight; Pillow's own conversion cuts off at 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8))


def find_images(folder: Path) -> list[Path]:
    """Return the images below a folder, in an order all machines share.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        found = [
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in SUFFIXES
            and not path.name.startswith(".")
            and path.is_file()
        ]
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read ({error}).") from error
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
