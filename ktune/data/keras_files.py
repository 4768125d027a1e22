"""Image sets in the file layouts of Keras: find, read and download them."""

import os
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktune.data.unpacking import array_sizes, check_unpacked, read_gzip
from ktune.errors import DataError

DATA_DIR = "KTUNE_DATA_DIR"
"""Environment variable with the folder that is searched first."""

_NPZ_NAMES = ("x_train", "y_train", "x_test", "y_test")
_IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_IDX_UNSIGNED_BYTES = 0x08


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and labels in the form of Keras's ``load_data``.

    Attributes:
        x: Images, uint8, shape (n, 28, 28).
        y: Labels, uint8, shape (n,).
        x_test: Images of the test set.
        y_test: Labels of the test set.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def own_folder() -> Path | None:
    """Return the folder ``KTUNE_DATA_DIR``; None if the variable is not set.

    Raises:
        DataError: The path is not a folder.
    """
    named = os.environ.get(DATA_DIR)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{DATA_DIR} names {named!r}, which is no folder. Correct or unset it."
        )
    return folder


def keras_folder() -> Path:
    """Return the cache folder of Keras for data sets."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return Path(home).expanduser() / "datasets"


def find_image_set(folder: Path, *, npz: str, idx: str) -> ImageSet | None:
    """Read an image set from a folder; return None if the folder has none.

    Args:
        folder: The folder.
        npz: Name of the npz file of Keras.
        idx: Name of the subfolder of the four original IDX files, compressed with gzip
            or not.

    Raises:
        DataError: A file cannot be read, or has other content.
    """
    if (folder / npz).is_file():
        return read_npz(folder / npz)
    if _idx_file(folder / idx, _IDX_NAMES[0]) is not None:
        return read_idx_folder(folder / idx)
    return None


def read_npz(path: Path) -> ImageSet:
    """Read the npz layout of Keras: arrays x_train, y_train, x_test, y_test.

    Raises:
        DataError: The file is damaged or has other content.
    """
    # `keras.datasets…load_data` would delete a file with an unknown hash.
    try:
        check_unpacked(path, sum(array_sizes(path).values()))
        with np.load(path, allow_pickle=False) as stored:
            arrays = [stored[name] for name in _NPZ_NAMES]
    except KeyError as error:
        raise DataError(
            f"{path}: {error.args[0]} Arrays {', '.join(_NPZ_NAMES)} are needed."
        ) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: no readable npz file ({error}). Replace it."
        ) from error
    return _checked(ImageSet(*arrays), path)


def read_idx_folder(folder: Path) -> ImageSet:
    """Read the four original files, the layout of Keras's fashion-mnist cache.

    Raises:
        DataError: A file is missing or damaged.
    """
    arrays = []
    for name in _IDX_NAMES:
        path = _idx_file(folder, name)
        if path is None:
            raise DataError(f"{folder}: there is no {name}.gz. Four files are needed.")
        arrays.append(read_idx(path))
    return _checked(ImageSet(*arrays), folder)


def read_idx(path: Path) -> np.ndarray:
    """Read one IDX file of unsigned bytes, compressed with gzip or not.

    Raises:
        DataError: The file is damaged or has other content.

    Source:
        http://yann.lecun.com/exdb/mnist ("the IDX file format").
    """
    try:
        content = read_gzip(path) if path.suffix == ".gz" else path.read_bytes()
        if content[:3] != bytes([0, 0, _IDX_UNSIGNED_BYTES]):
            raise ValueError("it does not begin like one")
        rank = content[3]
        shape = np.frombuffer(content, ">u4", count=rank, offset=4)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
        return values.reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise DataError(
            f"{path}: no readable IDX file ({error}). Replace it."
        ) from error


def download(name: str, url: str) -> ImageSet | None:
    """Download an image set by Keras; return None without internet.

    Args:
        name: Name of the module in ``keras.datasets``.
        url: URL of one of its files, to test the connection.
    """
    # Importing Keras takes seconds, and its download has no time limit.
    if not can_reach(url):
        return None
    try:
        train, test = _load_by_keras(name)
    except Exception:
        # Keras raises a bare Exception for every failure of a download.
        return None
    return ImageSet(*train, *test)


def can_reach(url: str, seconds: float = 4.0) -> bool:
    """Whether a server answers; in a thread, because the name lookup may hang."""
    answers: list[bool] = []
    asking = threading.Thread(
        target=lambda: answers.append(_answers(url, seconds)), daemon=True
    )
    asking.start()
    asking.join(seconds)
    return bool(answers) and answers[0]


def _answers(url: str, seconds: float) -> bool:
    import urllib.request

    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def _load_by_keras(name: str) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    import contextlib
    import importlib
    import io

    from ktune.utils.runtime import import_keras

    import_keras()
    with contextlib.redirect_stdout(io.StringIO()):
        datasets = importlib.import_module(f"keras.datasets.{name}")
        train, test = datasets.load_data()
    return train, test


def _idx_file(folder: Path, name: str) -> Path | None:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    return None


def _checked(images: ImageSet, path: Path) -> ImageSet:
    for x, y in ((images.x, images.y), (images.x_test, images.y_test)):
        if x.ndim != 3 or x.dtype != np.uint8 or y.shape != x.shape[:1]:
            raise DataError(
                f"{path}: images of shape (n, height, width) and type uint8 with n "
                f"labels are needed; got {x.shape} of type {x.dtype} with {y.shape}."
            )
    return images
