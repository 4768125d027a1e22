"""Small data sets bundled with scikit-learn, without download."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktune.data.assembly import assemble
from ktune.data.dataset import Dataset


@dataclass(frozen=True)
class BundledTable:
    """A table of scikit-learn: breast_cancer, wine, iris or diabetes.

    Attributes:
        name: The part of ``sklearn.datasets.load_…`` after the underscore.
        task: Name of the task.
    """

    name: str
    task: str

    def load(self) -> Dataset:
        """Read the table; the classes are in the order of scikit-learn."""
        bunch = _bunch(self.name, as_frame=True)
        class_names = tuple(str(name) for name in bunch.get("target_names", ()))
        return assemble(
            bunch.data,
            bunch.target,
            name=self.name,
            task=self.task,
            class_names=class_names,
        )


@dataclass(frozen=True)
class Digits:
    """1,797 handwritten digits of 8×8 pixels, a small version of MNIST."""

    name: str = "digits"

    def load(self) -> Dataset:
        """Read the images as float32 from 0 to 1, shape (1797, 8, 8)."""
        bunch = _bunch("digits")
        # Pixels are 0 … 16; sixteenths are exact floats, so scaling is lossless.
        images = (bunch.images / 16).astype(np.float32)
        return assemble(images, bunch.target, name=self.name, kind="image")


def _bunch(name: str, **options: Any) -> Any:
    # The import takes a second, so it is delayed until a data set is loaded.
    datasets = importlib.import_module("sklearn.datasets")
    return getattr(datasets, f"load_{name}")(**options)
