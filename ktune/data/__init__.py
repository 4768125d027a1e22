"""Where data come from: sources, each in a file of its own.

A source says where data are; nothing is read before ``load()``, which returns a
checked `ktune.dataset.Dataset`. `load_data` takes everything ``Experiment.data`` may
be. Arrays, tables, files and functions are welcome as they are.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ktune.data.array_source import Arrays
from ktune.data.bundled import BundledTable, Digits
from ktune.data.fashion_mnist_source import FashionMnist
from ktune.data.loading import load_data
from ktune.data.mnist_source import Mnist
from ktune.data.table_source import Table

__all__ = [
    "arrays",
    "breast_cancer",
    "diabetes",
    "digits",
    "fashion_mnist",
    "iris",
    "load_data",
    "mnist",
    "table",
    "wine",
]


def mnist() -> Mnist:
    """Handwritten digits: 60,000 images of 28×28 and a test set of 10,000."""
    return Mnist()


def fashion_mnist() -> FashionMnist:
    """Pictures of clothes: 60,000 images of 28×28 and a test set of 10,000."""
    return FashionMnist()


def digits() -> Digits:
    """Handwritten digits: 1,797 images of 8×8, bundled with scikit-learn."""
    return Digits()


def breast_cancer() -> BundledTable:
    """Malignant or benign: 569 rows of 30 numbers, bundled with scikit-learn."""
    return BundledTable("breast_cancer", "binary")


def wine() -> BundledTable:
    """Three cultivars: 178 rows of 13 numbers, bundled with scikit-learn."""
    return BundledTable("wine", "multiclass")


def iris() -> BundledTable:
    """Three species: 150 rows of 4 numbers, bundled with scikit-learn."""
    return BundledTable("iris", "multiclass")


def diabetes() -> BundledTable:
    """Disease progression, a regression: 442 rows of 10 numbers, of scikit-learn."""
    return BundledTable("diabetes", "regression")


def arrays(
    x: Any,
    y: Any,
    x_test: Any = None,
    y_test: Any = None,
    *,
    name: str = "arrays",
    task: str | None = None,
    kind: str | None = None,
    class_names: Sequence[str] = (),
    groups: Any = None,
) -> Arrays:
    """Features and targets in memory; arguments as on `Arrays`."""
    names = tuple(class_names)
    return Arrays(x, y, x_test, y_test, name, task, kind, names, groups)


def table(
    frame: pd.DataFrame,
    *,
    target: str | Sequence[str],
    test: pd.DataFrame | None = None,
    drop: Sequence[str] = (),
    groups: str | None = None,
    name: str = "table",
    task: str | None = None,
) -> Table:
    """A DataFrame in memory; arguments as on `Table`."""
    return Table(frame, target, test, drop, groups, name, task)
