"""Fashion-MNIST: 70,000 images of clothes, as large as MNIST and harder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

DEBIAN_FOLDER = Path("/usr/share/datasets")
"""Folder of Debian's package dataset-fashion-mnist."""

_URL = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
    "train-labels-idx1-ubyte.gz"
)


@dataclass(frozen=True)
class FashionMnist:
    """Images of clothes, 28×28 pixels, with a test set of 10,000.

    Read from the folder ``KTUNE_DATA_DIR``, the cache of Keras, the folder of the
    Debian package, or the internet, in this order.

    Source:
        Xiao, Rasul, Vollgraf, Fashion-MNIST, arXiv 1708.07747.
    """

    name: str = "fashion_mnist"

    def load(self) -> Dataset:
        """Read the images as uint8, shape (n, 28, 28).

        Raises:
            DataError: The images are in none of these places.
        """
        images = self._find() or download("fashion_mnist", _URL)
        if images is None:
            raise DataError(_how_to_get_it())
        return assemble(
            images.x,
            images.y,
            name=self.name,
            x_test=images.x_test,
            y_test=images.y_test,
            kind="image",
            class_names=CLASS_NAMES,
        )

    def _find(self) -> ImageSet | None:
        for folder in _folders():
            images = find_image_set(
                folder, npz="fashion_mnist.npz", idx="fashion-mnist"
            )
            if images is not None:
                return images
        return None


def _folders() -> Iterator[Path]:
    if (own := own_folder()) is not None:
        yield own
    yield keras_folder()
    yield DEBIAN_FOLDER


def _how_to_get_it() -> str:
    looked = ", ".join(str(folder) for folder in _folders())
    return (
        f"fashion_mnist is not in {looked}, and the internet cannot be reached. Any of "
        "these helps:\n"
        "  - on a machine with internet run keras.datasets.fashion_mnist.load_data() "
        f"and copy ~/.keras/datasets/fashion-mnist to {keras_folder()}\n"
        "  - on Debian or Ubuntu: apt-get install dataset-fashion-mnist\n"
        "  - put fashion_mnist.npz (arrays x_train, y_train, x_test, y_test) into a "
        f"folder and name that folder in {DATA_DIR}"
    )
