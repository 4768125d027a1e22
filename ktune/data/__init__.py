"""Data sources, one per file.

A source describes data; ``load()`` reads them and returns a validated
`ktune.data.dataset.Dataset`. `load_data` accepts all values of ``Experiment.data``:
sources, arrays, tables, files and functions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ktune.data.array_source import Arrays
from ktune.data.bundled import BundledTable, Digits
from ktune.data.csv_reader import read_csv
from ktune.data.dataset_source import Batches
from ktune.data.excel_reader import read_excel
from ktune.data.fashion_mnist_source import FashionMnist
from ktune.data.image_column import ImageColumn
from ktune.data.image_folder_source import ImageFolder
from ktune.data.loading import load_data
from ktune.data.mnist_source import Mnist
from ktune.data.npz_source import Npz
from ktune.data.parquet_reader import read_parquet
from ktune.data.sequence_source import Sequences
from ktune.data.table_file_source import TableFile
from ktune.data.table_format import TableFormat
from ktune.data.table_source import Table

__all__ = [
    "ImageColumn",
    "TableFormat",
    "arrays",
    "breast_cancer",
    "csv",
    "dataset",
    "diabetes",
    "digits",
    "excel",
    "fashion_mnist",
    "image_folder",
    "iris",
    "load_data",
    "mnist",
    "npz",
    "parquet",
    "sequence",
    "table",
    "wine",
]


def mnist() -> Mnist:
    """Handwritten digits: 60,000 images of 28×28 and a test set of 10,000."""
    return Mnist()


def fashion_mnist() -> FashionMnist:
    """Images of clothes: 60,000 images of 28×28 and a test set of 10,000."""
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
    times: Any = None,
    weights: Any = None,
    weights_test: Any = None,
) -> Arrays:
    """Features and targets in memory; arguments as on `Arrays`."""
    names = tuple(class_names)
    further = (name, task, kind, names, groups, times, weights, weights_test)
    return Arrays(x, y, x_test, y_test, *further)


def table(
    frame: pd.DataFrame,
    *,
    target: str | Sequence[str],
    test: pd.DataFrame | None = None,
    drop: Sequence[str] = (),
    groups: str | None = None,
    time: str | None = None,
    weights: str | None = None,
    images: str | ImageColumn | None = None,
    name: str = "table",
    task: str | None = None,
) -> Table:
    """A DataFrame in memory; arguments as on `Table`."""
    columns = (target, test, drop, groups, time)
    return Table(frame, *columns, name, task, weights, images)


def csv(
    path: str | Path,
    *,
    target: str | Sequence[str],
    test: str | Path | None = None,
    drop: Sequence[str] = (),
    groups: str | None = None,
    time: str | None = None,
    weights: str | None = None,
    images: str | ImageColumn | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    header: bool | None = True,
    names: Sequence[str] = (),
    comment: str | None = None,
    missing: Sequence[str] = (),
    not_missing: Sequence[str] = (),
    text: Sequence[str] = (),
    name: str | None = None,
    task: str | None = None,
) -> TableFile:
    """A csv file; arguments as on `TableFile` and `ktune.data.TableFormat`.

    Separator, encoding and number format are detected unless specified.
    """
    written = TableFormat(
        separator=separator,
        decimal=decimal,
        thousands=thousands,
        encoding=encoding,
        header=bool(header) and not names,
        names=tuple(map(str, names)),
        comment=comment,
        missing=_words(missing),
        not_missing=_words(not_missing),
        text=_words(text),
    )
    columns = (_column(target), test, _columns(drop), groups, time)
    return TableFile(path, read_csv, *columns, name, task, written, weights, images)


def excel(
    path: str | Path,
    *,
    target: str | Sequence[str],
    sheet: str | None = None,
    test: str | Path | None = None,
    drop: Sequence[str] = (),
    groups: str | None = None,
    time: str | None = None,
    weights: str | None = None,
    images: str | ImageColumn | None = None,
    header: bool | None = True,
    names: Sequence[str] = (),
    missing: Sequence[str] = (),
    not_missing: Sequence[str] = (),
    text: Sequence[str] = (),
    name: str | None = None,
    task: str | None = None,
) -> TableFile:
    """A sheet of a workbook; arguments as on `TableFile` and `ktune.data.TableFormat`.

    Needs ``ktune[excel]``.
    """
    written = TableFormat(
        header=bool(header) and not names,
        names=tuple(map(str, names)),
        missing=_words(missing),
        not_missing=_words(not_missing),
        text=_words(text),
        sheet=sheet,
    )
    columns = (_column(target), test, _columns(drop), groups, time)
    how = (name, task, written, weights, images)
    return TableFile(path, read_excel, *columns, *how)


def parquet(
    path: str | Path,
    *,
    target: str | Sequence[str],
    test: str | Path | None = None,
    drop: Sequence[str] = (),
    groups: str | None = None,
    time: str | None = None,
    weights: str | None = None,
    images: str | ImageColumn | None = None,
    name: str | None = None,
    task: str | None = None,
) -> TableFile:
    """A parquet file; arguments as on `TableFile`."""
    columns = (target, test, drop, groups, time)
    further: dict[str, Any] = {"weights": weights, "images": images}
    return TableFile(path, read_parquet, *columns, name, task, **further)


def dataset(
    train: Any,
    test: Any = None,
    *,
    name: str = "dataset",
    task: str | None = None,
    kind: str | None = None,
    class_names: Sequence[str] = (),
) -> Batches:
    """A ``tf.data.Dataset`` or ``keras.utils.PyDataset``; arguments as on `Batches`."""
    return Batches(train, test, name, task, kind, tuple(class_names))


def npz(
    path: str | Path,
    *,
    x: str | None = None,
    y: str | None = None,
    x_test: str | None = None,
    y_test: str | None = None,
    groups: str | None = None,
    times: str | None = None,
    name: str | None = None,
    task: str | None = None,
    kind: str | None = None,
    class_names: Sequence[str] = (),
) -> Npz:
    """Arrays in an npz file; arguments as on `Npz`."""
    arrays = (x, y, x_test, y_test, groups, times)
    return Npz(path, *arrays, name, task, kind, tuple(class_names))


def image_folder(
    path: str | Path,
    *,
    size: int | tuple[int, int] = (128, 128),
    greyscale: bool = False,
    test: str | Path | None = None,
    on_corrupt: str = "refuse",
    name: str | None = None,
) -> ImageFolder:
    """Images in a folder for each class; arguments as on `ImageFolder`."""
    return ImageFolder(path, size, greyscale, test, on_corrupt, name)


def sequence(
    sequences: Sequence[Any],
    y: Any,
    x_test: Sequence[Any] | None = None,
    y_test: Any = None,
    *,
    length: int | None = None,
    padding: str = "pre",
    value: float = 0.0,
    name: str = "sequences",
    task: str | None = None,
    class_names: Sequence[str] = (),
    groups: Any = None,
) -> Sequences:
    """Sequences of different lengths; arguments as on `Sequences`."""
    how = (length, padding, value)
    names = tuple(class_names)
    return Sequences(sequences, y, x_test, y_test, *how, name, task, names, groups)


def _column(target: str | Sequence[str]) -> str | Sequence[str]:
    """Return names of columns; a file without header has 0, 1, … for names."""
    return str(target) if isinstance(target, str | int) else _columns(target)


def _columns(names: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, [names] if isinstance(names, str | int) else names))


def _words(words: str | Sequence[str]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(map(str, words))
