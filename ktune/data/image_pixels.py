"""Decode the content of untrusted image files.

This file stands alone: it travels with a registered model that decodes images.
"""

import base64
import binascii
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_PIXELS = 50_000_000
"""Larger images are refused before decoding: a few hundred bytes can unpack to
gigabytes."""

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")

# Pillow's decoders raise any of these for damaged files.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    struct.error,
    zlib.error,
    MemoryError,
)


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


class BadImage(Exception):
    """An image cannot be decoded; the message says why."""


def decode_content(content: bytes, form: ImageForm) -> np.ndarray:
    """Return the pixels of an image file, upright and in the common form.

    Raises:
        BadImage: The file is damaged or too large.
    """
    try:
        return _pixels(content, form)
    except _DAMAGED as error:
        reason = "no image" if "cannot identify" in str(error) else str(error)
        raise BadImage(f"damaged: {reason}") from error


def decode_cell(cell: Any, form: ImageForm) -> np.ndarray:
    """Return the pixels of one image in a request.

    Args:
        cell: The content of an image file, as bytes or as base64 text, or an array of
            the pixels, 0 … 255.
        form: The form that the model takes.

    Raises:
        BadImage: It is none of these.
    """
    if isinstance(cell, str):
        cell = _content(cell)
    if isinstance(cell, bytes):
        with pillow_set_up():
            return decode_content(cell, form)
    return _array(cell, form)


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


def as_base64(pixels: np.ndarray) -> str:
    """Return the pixels of one image as base64 text of a PNG file.

    Example:
        >>> white = np.full((2, 2, 1), 255, np.uint8)
        >>> int(decode_cell(as_base64(white), ImageForm(2, 2, greyscale=True)).min())
        255
    """
    from PIL import Image

    plain = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(plain).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _pixels(content: bytes, form: ImageForm) -> np.ndarray:
    from PIL import Image, ImageOps

    image: Any = Image.open(io.BytesIO(content), formats=_FORMATS)
    width, height = image.size  # from the header, before decoding
    if width * height > MOST_PIXELS:
        raise BadImage(f"too large: {width}×{height} pixels, more than {MOST_PIXELS:,}")
    mode = "L" if form.greyscale else "RGB"
    # Decoding a JPEG at a half, quarter or eighth of its size is much faster.
    image.draft(mode, (2 * form.width, 2 * form.height))
    image = _eight_bits(ImageOps.exif_transpose(image)).convert(mode)
    size = (form.width, form.height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).reshape(form.shape)


def _eight_bits(image: Any) -> Any:
    """Convert sixteen bits to eight; Pillow's own conversion clips at 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8))


def _content(text: str) -> bytes:
    """Return the bytes of base64 text, which may be a data URL."""
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImage(f"the text {text[:40]!r} is not base64") from error


def _array(cell: Any, form: ImageForm) -> np.ndarray:
    try:
        pixels = np.array(cell.tolist() if isinstance(cell, np.ndarray) else cell)
    except ValueError as error:
        raise BadImage("the array of pixels is ragged") from error
    if pixels.shape not in (form.shape, form.shape[: 3 if form.shape[2] > 1 else 2]):
        found = f"shape {pixels.shape}" if pixels.ndim else type(cell).__name__
        raise BadImage(f"an array of pixels has shape {form.shape}; got {found}")
    is_whole = pixels.dtype.kind in "iuf" and np.array_equal(pixels, np.floor(pixels))
    if not is_whole or pixels.min() < 0 or pixels.max() > 255:
        raise BadImage("pixels are whole numbers from 0 to 255")
    return pixels.astype(np.uint8).reshape(form.shape)
