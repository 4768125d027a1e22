"""Arrays in an npz file of NumPy."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ktune.data.assembly import assemble
from ktune.data.dataset import Dataset
from ktune.data.files import check_file
from ktune.data.large_arrays import chunks, empty, is_large
from ktune.data.unpacking import array_sizes
from ktune.errors import DataError
from ktune.utils.text import did_you_mean

LAYOUTS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("x", "y", "x_test", "y_test"),
    ("X", "y", "X_test", "y_test"),
)
"""Default names: features, targets, and optionally those of a test set."""


@dataclass(frozen=True)
class Npz:
    """Features and targets as arrays of one npz file.

    Attributes:
        path: Path of the file, absolute or relative to the working folder.
        x: Name of the array of features. None: one of `LAYOUTS`.
        y: Name of the array of targets. None: one of `LAYOUTS`.
        x_test: Name of the features of a test set. None: no test set, or as in
            `LAYOUTS` if ``x`` and ``y`` are None.
        y_test: Name of the targets of the test set.
        groups: Name of an array of one label for each row; rows of a group are never
            split.
        times: Name of an array of one time for each row; validation and test rows are
            later than training rows.
        name: Name of the data set, recorded with every search. None: the name of the
            file.
        task: As on `ktune.data.array_source.Arrays`.
        kind: Likewise.
        class_names: Likewise.
    """

    path: str | Path
    x: str | None = None
    y: str | None = None
    x_test: str | None = None
    y_test: str | None = None
    groups: str | None = None
    times: str | None = None
    name: str | None = None
    task: str | None = None
    kind: str | None = None
    class_names: tuple[str, ...] = ()

    def load(self) -> Dataset:
        """Read and validate the arrays."""
        path = Path(self.path).expanduser()
        check_file(path)
        arrays = _read(path, self._names)
        return assemble(
            **arrays,
            name=self.name or path.name,
            task=self.task,
            kind=self.kind,
            class_names=tuple(self.class_names),
        )

    def _names(self, path: Path, known: list[str]) -> dict[str, str]:
        """Return the name of the array for each part of the data set."""
        named = {
            part: getattr(self, part)
            for part in ("x", "y", "x_test", "y_test", "groups", "times")
        }
        if self.x is None and self.y is None:
            named = {**_layout(path, known), **{k: v for k, v in named.items() if v}}
        wanted = {part: name for part, name in named.items() if name is not None}
        for part in ("x", "y"):
            if part not in wanted:
                raise DataError(
                    f"{path}: say which array holds {part}. Arrays: {_listed(known)}."
                )
        for name in wanted.values():
            if name not in known:
                raise DataError(
                    f"{path}: there is no array {name!r}. Arrays: {_listed(known)}."
                    + did_you_mean(name, known)
                )
        return wanted


def _layout(path: Path, known: list[str]) -> dict[str, str]:
    parts = ("x", "y", "x_test", "y_test")
    for layout in LAYOUTS:
        if set(layout[:2]) <= set(known):
            has_test = set(layout) <= set(known)
            return dict(zip(parts, layout if has_test else layout[:2], strict=False))
    raise DataError(
        f"{path}: there are no arrays x and y (or x_train and y_train). Arrays: "
        f"{_listed(known)}. Say which: npz(path, x='…', y='…')."
    )


def _read(path: Path, choose: Any) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path}: no readable npz file: it is cut off, a single array (npy), or of "
            "another kind. Features and targets are needed: "
            "numpy.savez(path, x=features, y=targets)."
        )
    try:
        with np.load(path, allow_pickle=False) as stored:
            wanted = choose(path, list(stored.files))
            sizes = array_sizes(path)
            return {
                part: _unpacked(path, name) if is_large(sizes[name]) else stored[name]
                for part, name in wanted.items()
            }
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, MemoryError) as error:
        reason = str(error) or type(error).__name__
        if "pickle" in reason.lower():
            reason = "it holds Python objects, which could run code when read"
        raise DataError(
            f"{path}: no readable npz file of plain arrays ({reason})."
        ) from error


def _unpacked(path: Path, name: str) -> np.ndarray:
    """Unpack a large array in chunks, because it may not fit into memory."""
    with zipfile.ZipFile(path) as packed, packed.open(f"{name}.npy") as file:
        shape, is_fortran, dtype = _read_header(file)
        if dtype.hasobject:
            raise ValueError("it is pickled")
        array = empty(shape[::-1] if is_fortran else shape, dtype)
        for part in chunks(array):
            _fill(array[part], file)
        return array.transpose() if is_fortran else array


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    if np.lib.format.read_magic(file) == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)  # 3.0 differs in field names only


def _fill(part: np.ndarray, file: IO[bytes]) -> None:
    """Fill an array with bytes from a file."""
    room = memoryview(part.reshape(-1).view(np.uint8))
    while room:
        n_read = file.readinto(room)  # type: ignore[attr-defined]
        if not n_read:
            raise EOFError("it ends in the middle of an array")
        room = room[n_read:]


def _listed(names: list[str], at_most: int = 20) -> str:
    shown = ", ".join(names[:at_most]) or "none"
    return shown + (", …" if len(names) > at_most else "")
