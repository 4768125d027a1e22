"""A ``tf.data.Dataset`` or a ``keras.utils.PyDataset``, read once into rows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktune.data.assembly import assemble
from ktune.data.batches import (
    WEIGHTS,
    batches_of,
    collect,
    count_elements,
    count_rows_of,
    features_of,
    targets_of,
)
from ktune.data.dataset import Dataset
from ktune.data.large_arrays import take
from ktune.data.watching import counted


@dataclass(frozen=True, eq=False)
class Batches:
    """A dataset for Keras's ``fit``, with batches or single rows.

    The rows are read once into arrays, so that folds and digest are well-defined.

    Attributes:
        train: A ``tf.data.Dataset`` or ``keras.utils.PyDataset`` of ``(x, y)`` or
            ``(x, y, weights)``.
        test: A dataset of the same form with the test set; None: no test set.
        name: Name of the data set, recorded with every search.
        task: "binary", "multiclass", "multilabel", "regression" or "custom". None:
            inferred from the targets, see `ktune.data.coding` and
            `ktune.data.custom_targets`.
        kind: "tabular", "image" or "sequence". None: inferred from the features, see
            `ktune.data.features`.
        class_names: Names of the sorted labels; empty: those of
            ``image_dataset_from_directory``, or the labels themselves.
    """

    train: Any
    test: Any = None
    name: str = "dataset"
    task: str | None = None
    kind: str | None = None
    class_names: tuple[str, ...] = ()

    def load(self) -> Dataset:
        """Read and validate all rows, and encode the targets."""
        rows, note = _read(self.train, self.name)
        test: Mapping[str, np.ndarray] | None = None
        if self.test is not None:
            test, _ = _read(self.test, f"{self.name} (test set)")
        names = self.class_names or tuple(
            getattr(self.train, "class_names", None) or ()
        )
        dataset = assemble(
            features_of(rows),
            targets_of(rows),
            name=self.name,
            x_test=None if test is None else features_of(test),
            y_test=None if test is None else targets_of(test),
            task=self.task,
            kind=self.kind,
            class_names=names,
            weights=rows.get(WEIGHTS),
            weights_test=None if test is None else test.get(WEIGHTS),
        )
        return replace(dataset, notes=(*dataset.notes, note) if note else dataset.notes)


def _read(data: Any, name: str) -> tuple[Mapping[str, np.ndarray], str]:
    """Return all rows, and a note on differences between two readings."""
    size = count_elements(data, name)
    watched = counted(batches_of(data, name), total=size or 0, what=f"reading {name}")
    rows = collect(iter(watched), size, name)
    again = next(batches_of(data, name))
    if all(_same(rows[key][: len(part)], part) for key, part in again.items()):
        return rows, ""
    before = _row_hashes(rows)
    after = _row_hashes(collect(batches_of(data, name), size, name))
    if np.array_equal(np.sort(before), np.sort(after)):
        order = np.argsort(before, kind="stable")
        return {key: take(array, order) for key, array in rows.items()}, (
            f"{name}: rows come in another order at each reading (a shuffle). They are "
            "put into a fixed order; training shuffles them."
        )
    return rows, (
        f"{name}: rows differ between two readings, so a transformation is random. The "
        "first reading is kept for all trials, and reproduce will find other data. Put "
        "random layers (keras.layers.RandomFlip …) into the model instead."
    )


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    is_float = left.dtype.kind == "f"
    return np.array_equal(left, right, equal_nan=is_float)


def _row_hashes(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a hash of the content of each row."""
    n_rows = count_rows_of(rows)
    hashes = np.empty(n_rows, "S16")
    for row in range(n_rows):
        hasher = hashlib.blake2b(digest_size=8)
        for array in rows.values():
            hasher.update(np.ascontiguousarray(array[row]).tobytes())
        hashes[row] = hasher.hexdigest()
    return hashes
