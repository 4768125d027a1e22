"""Small real data sets that scikit-learn ships: no download, same everywhere."""

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
        task: What is to be predicted.
    """

    name: str
    task: str

    def load(self) -> Dataset:
        """Read it; the order of the classes is scikit-learn's."""
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
    """1,797 handwritten digits of 8×8 pixels, a small relative of MNIST."""

    name: str = "digits"

    def load(self) -> Dataset:
        """Read them as float32 images, shape (1797, 8, 8), ink from 0 to 1."""
        bunch = _bunch("digits")
        # The files count 0 … 16; sixteenths are exact floats, so nothing is lost.
        images = (bunch.images / 16).astype(np.float32)
        return assemble(images, bunch.target, name=self.name, kind="image")


def _bunch(name: str, **options: Any) -> Any:
    # Costs a second, so it waits until somebody loads.
    datasets = importlib.import_module("sklearn.datasets")
    return getattr(datasets, f"load_{name}")(**options)
