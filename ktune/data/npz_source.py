"""Arrays in NumPy's npz file."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktune.data.assembly import assemble
from ktune.data.files import check_file
from ktune.dataset import Dataset
from ktune.errors import DataError
from ktune.runtime import memory_bytes
from ktune.spelling import did_you_mean

LAYOUTS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("x", "y", "x_test", "y_test"),
    ("X", "y", "X_test", "y_test"),
)
"""Names looked for: features, targets, and the same of a test set, if there is one."""


@dataclass(frozen=True)
class Npz:
    """Features and targets as arrays of one npz file.

    Attributes:
        path: Of the file, absolute or from the working folder.
        x: Name of the array of features. None: one of `LAYOUTS`.
        y: Name of the array of targets. None: likewise.
        x_test: Name of the features of a test set. None: none, or as in `LAYOUTS`
            where ``x`` and ``y`` are not named.
        y_test: Name of its targets.
        groups: Name of an array of one label a row; rows of a group are never split.
        times: Name of an array of one time a row; folds and test set look ahead.
        name: Recorded with every search. None: the name of the file.
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
        """Read the arrays and check them."""
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
        """Return which array is what."""
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
    try:
        with np.load(path, allow_pickle=False) as stored:
            if not hasattr(stored, "files"):
                raise DataError(
                    f"{path}: this is a single array (npy); an npz file with features "
                    "and targets is needed."
                )
            wanted = choose(path, list(stored.files))
            _check_size(path, set(wanted.values()))
            return {part: stored[name] for part, name in wanted.items()}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, MemoryError) as error:
        told = str(error) or type(error).__name__
        if "pickle" in told.lower():
            told = "it holds Python objects, which could run code when read"
        raise DataError(
            f"{path}: no readable npz file of plain arrays ({told})."
        ) from error


def _check_size(path: Path, names: set[str]) -> None:
    """Refuse what does not fit into memory before it is unpacked: a zip bomb, say."""
    with zipfile.ZipFile(path) as packed:
        sizes = {
            info.filename.removesuffix(".npy"): info.file_size
            for info in packed.infolist()
        }
    size = sum(sizes.get(name, 0) for name in names)
    if size > memory_bytes():
        raise DataError(
            f"{path}: the arrays unpack to {size / 2**30:,.1f} GiB, more than the "
            f"{memory_bytes() / 2**30:,.1f} GiB of memory. Give fewer rows."
        )


def _listed(names: list[str], at_most: int = 20) -> str:
    shown = ", ".join(names[:at_most]) or "none"
    return shown + (", …" if len(names) > at_most else "")
