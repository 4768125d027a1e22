"""Sequences of different lengths, padded to one length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktune.data.assembly import assemble
from ktune.data.dataset import Dataset
from ktune.errors import DataError
from ktune.utils.text import did_you_mean

PADDINGS = ("pre", "post")


@dataclass(frozen=True, eq=False)
class Sequences:
    """A list of sequences, padded or cut to one length.

    Attributes:
        sequences: One for each row: tokens, shape (steps,) and whole numbers; or
            measurements, shape (steps,) or (steps, features).
        y: Targets, one for each sequence.
        x_test: Sequences of the test set; None: no test set.
        y_test: Targets of the test set.
        length: Steps of every row. None: the length of the longest training sequence.
        padding: "pre": pad and truncate at the beginning, so that a recurrent layer
            reads the original end last; "post": pad and truncate at the end.
        value: The padding value; tokens should not use it.
        name: Name of the data set, recorded with every search.
        task: As on `ktune.data.array_source.Arrays`.
        class_names: Likewise.
        groups: Likewise.

    Measurements are standardised including the padding, unless ``preprocess`` is None;
    so use ``preprocess=None`` with `keras.layers.Masking`.
    """

    sequences: Sequence[Any]
    y: Any
    x_test: Sequence[Any] | None = None
    y_test: Any = None
    length: int | None = None
    padding: str = "pre"
    value: float = 0.0
    name: str = "sequences"
    task: str | None = None
    class_names: tuple[str, ...] = ()
    groups: Any = None

    def load(self) -> Dataset:
        """Pad and validate the sequences."""
        self._check_arguments()
        steps = _as_steps(self.sequences, self.name)
        length = self.length or max(len(row) for row in steps)
        x_test = None
        if self.x_test is not None:
            of_test = _as_steps(self.x_test, f"{self.name} (test set)")
            x_test = self._padded(of_test, length)
        return assemble(
            self._padded(steps, length),
            self.y,
            name=self.name,
            x_test=x_test,
            y_test=self.y_test,
            task=self.task,
            kind="sequence",
            class_names=tuple(self.class_names),
            groups=self.groups,
        )

    def _padded(self, steps: list[np.ndarray], length: int) -> np.ndarray:
        padded = np.full(
            (len(steps), length, *steps[0].shape[1:]), self.value, steps[0].dtype
        )
        for row, sequence in zip(padded, steps, strict=True):
            if not len(sequence):
                continue
            if self.padding == "pre":
                part = sequence[-length:]
                row[length - len(part) :] = part
            else:
                part = sequence[:length]
                row[: len(part)] = part
        return padded

    def _check_arguments(self) -> None:
        if self.padding not in PADDINGS:
            raise DataError(
                f"{self.name}: padding must be 'pre' or 'post'; got {self.padding!r}."
                + did_you_mean(str(self.padding), PADDINGS)
            )
        if self.length is not None and (
            not isinstance(self.length, int) or self.length < 1
        ):
            raise DataError(
                f"{self.name}: length must be an int of at least 1; got "
                f"{self.length!r}."
            )


def _as_steps(sequences: Sequence[Any], name: str) -> list[np.ndarray]:
    """Return all sequences as arrays of the same number type and features."""
    if not len(sequences):
        raise DataError(f"{name}: there are no sequences.")
    steps = [_as_numbers(row, index, name) for index, row in enumerate(sequences)]
    widths = [row.shape[1:] for row in steps if len(row)]
    if not widths:
        raise DataError(f"{name}: all {len(steps)} sequences are empty.")
    for index, row in enumerate(steps):
        if len(row) and row.shape[1:] != widths[0]:
            raise DataError(
                f"{name}: a step of sequence {index} has shape {row.shape[1:]}, of the "
                f"first one {widths[0]}. All need the same number of features."
            )
    common = np.result_type(*{row.dtype for row in steps if len(row)})
    if common.kind == "f" and not widths[0]:
        # Recurrent layers need an axis of features for single measurements, too.
        widths[0] = (1,)
    return [row.reshape(len(row), *widths[0]).astype(common) for row in steps]


def _as_numbers(row: Any, index: int, name: str) -> np.ndarray:
    try:
        array = np.asarray(row)
    except ValueError as error:
        raise DataError(
            f"{name}: sequence {index} is ragged: its steps have different numbers of "
            "features."
        ) from error
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
        raise DataError(
            f"{name}: sequence {index} has type {array.dtype} and shape {array.shape}; "
            "numbers of shape (steps,) or (steps, features) are needed. Number the "
            "tokens of a text first, 0 being the padding."
        )
    return array
