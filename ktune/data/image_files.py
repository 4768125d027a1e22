"""Find and decode untrusted image files."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktune.data.image_pixels import BadImage, ImageForm, decode_content, pillow_set_up
from ktune.data.watching import counted
from ktune.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")
"""Suffixes of image files, in upper or lower case; other files are ignored."""

MOST_BYTES = 2**29


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


def image_form(size: int | tuple[int, int], greyscale: bool, *, name: str) -> ImageForm:
    """Return the form of a size: height and width, or an int for squares.

    Raises:
        DataError: The size is none; ``name`` is the function that takes it.
    """
    both = (size, size) if isinstance(size, int) else size
    is_size = len(both) == 2 and all(
        isinstance(n, int) and 1 <= n <= 4096 for n in both
    )
    if not is_size:
        raise DataError(
            f"{name}: size must be (height, width) in pixels, at most 4096; got "
            f"{size!r}."
        )
    height, width = both
    return ImageForm(height, width, greyscale)


def decode_all(paths: Sequence[Path], form: ImageForm) -> Iterator[Decoded]:
    """Decode files in threads, in their order; send the progress to the watcher."""
    # Threads suffice: Pillow releases the GIL while it decodes and resizes.
    with pillow_set_up(), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        images = pool.map(lambda path: decode(path, form), paths)
        yield from counted(images, total=len(paths), what="decoding images")


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
        return Decoded(path, digest, decode_content(content, form))
    except BadImage as error:
        return Decoded(path, digest, problem=str(error))


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
