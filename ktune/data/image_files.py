"""Decode untrusted image files."""

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
"""Suffixes of image files, in upper or lower case; other files are ignored."""

MOST_PIXELS = 50_000_000
"""Larger images are refused before decoding: a few hundred bytes can unpack to
gigabytes."""

MOST_BYTES = 2**29

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")


@dataclass(frozen=True)
class ImageForm:
    """The common form of all decoded images.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
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
    """The result of decoding one file.

    Attributes:
        path: Path of the file.
        digest: Hash of its bytes.
        pixels: Pixels as uint8; None: decoding failed.
        problem: The reason of the failure.
    """

    path: Path
    digest: bytes = b""
    pixels: np.ndarray | None = None
    problem: str = ""


def decode(path: Path, form: ImageForm) -> Decoded:
    """Read one image file, rotate it upright, and convert it to the common form.

    Problems of the file are returned, not raised.
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
        reason = "no image" if "cannot identify" in str(error) else str(error)
        return Decoded(path, digest, problem=f"damaged: {reason}")


class _TooLarge(Exception):
    """An image has more pixels than `MOST_PIXELS`."""


def _pixels(content: bytes, form: ImageForm) -> np.ndarray:
    from PIL import Image, ImageOps

    image: Any = Image.open(io.BytesIO(content), formats=_FORMATS)
    width, height = image.size  # from the header, before decoding
    if width * height > MOST_PIXELS:
        raise _TooLarge(
            f"too large: {width}×{height} pixels, more than {MOST_PIXELS:,}"
        )
    mode = "L" if form.greyscale else "RGB"
    # Decoding a JPEG at a half, quarter or eighth of its size is much faster.
    image.draft(mode, (2 * form.width, 2 * form.height))
    image = _eight_bits(ImageOps.exif_transpose(image)).convert(mode)
    size = (form.width, form.height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).reshape(form.shape)


@contextmanager
def pillow_set_up() -> Iterator[None]:
    """Disable Pillow's own limit of pixels and its warnings about files."""
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
    """Convert sixteen bits to eight; Pillow's own conversion clips at 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8))


def find_images(folder: Path) -> list[Path]:
    """Return the images below a folder, in the same order on all machines.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        paths = [
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in SUFFIXES
            and not path.name.startswith(".")
            and path.is_file()
        ]
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read ({error}).") from error
    return sorted(paths, key=lambda path: path.relative_to(folder).as_posix())
