"""Images in folders, one folder for each class."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ktune.data.assembly import assemble
from ktune.data.dataset import Dataset
from ktune.data.files import check_folder
from ktune.data.image_files import Decoded, decode_all, find_images, image_form
from ktune.data.image_pixels import ImageForm
from ktune.data.large_arrays import empty, take
from ktune.errors import DataError
from ktune.utils.text import did_you_mean

ON_CORRUPT = ("refuse", "skip")
_SHOWN = 5


@dataclass(frozen=True)
class ImageFolder:
    """A folder with one folder of images for each class, in the layout of Keras.

    Attributes:
        path: Path of the folder, absolute or relative to the working folder.
        size: Height and width to resize to; an int for squares.
        greyscale: One channel instead of three.
        test: A folder of the same layout with the test set; None: no test set.
        on_corrupt: "refuse": raise an error that names all damaged images; "skip":
            skip them with a note that counts and names them.
        name: Name of the data set, recorded with every search. None: the name of the
            folder.
    """

    path: str | Path
    size: int | tuple[int, int] = (128, 128)
    greyscale: bool = False
    test: str | Path | None = None
    on_corrupt: str = "refuse"
    name: str | None = None

    def load(self) -> Dataset:
        """Decode all images in threads, as uint8 of shape (n, h, w, c)."""
        form = self._form()
        path = Path(self.path).expanduser()
        training = _read(path, form, self.on_corrupt, _class_names(path))
        name = self.name or path.resolve().name
        parts = [training]
        if self.test is not None:
            folder = Path(self.test).expanduser()
            _check_classes(path, folder, training.class_names)
            parts.append(_read(folder, form, self.on_corrupt, training.class_names))
        test = parts[1] if len(parts) > 1 else None
        dataset = assemble(
            training.x,
            training.y,
            name=name,
            x_test=None if test is None else test.x,
            y_test=None if test is None else test.y,
            task="binary" if len(training.class_names) == 2 else "multiclass",
            kind="image",
            class_names=training.class_names,
        )
        notes = tuple(note for part in parts for note in part.notes(name))
        digest = hashlib.sha256(repr((form, [p.digest for p in parts])).encode())
        return replace(dataset, notes=notes, source_digest=digest.hexdigest())

    def _form(self) -> ImageForm:
        form = image_form(self.size, self.greyscale, name="image_folder")
        if self.on_corrupt not in ON_CORRUPT:
            raise DataError(
                "image_folder: on_corrupt must be 'refuse' or 'skip'; got "
                f"{self.on_corrupt!r}." + did_you_mean(str(self.on_corrupt), ON_CORRUPT)
            )
        return form


@dataclass(frozen=True, eq=False)
class _Images:
    """The decoded images of a folder."""

    folder: Path
    x: np.ndarray
    y: np.ndarray
    class_names: tuple[str, ...]
    digest: str
    corrupt: tuple[Decoded, ...] = ()

    def notes(self, name: str) -> Iterator[str]:
        counts = np.bincount(self.y, minlength=len(self.class_names))
        listed = [f"{c}: {n}" for c, n in zip(self.class_names, counts, strict=True)]
        more = ", …" if len(listed) > 10 else ""
        yield f"{name}: {len(self.y):,} images ({', '.join(listed[:10])}{more})"
        if self.corrupt:
            yield f"{_corrupt_text(self.folder, self.corrupt)} skipped."


def _read(
    folder: Path, form: ImageForm, on_corrupt: str, class_names: tuple[str, ...]
) -> _Images:
    files = [
        (path, number)
        for number, class_name in enumerate(class_names)
        for path in find_images(folder / class_name)
    ]
    _check_files(folder, files, class_names)
    x = empty((len(files), *form.shape), np.uint8)
    is_good = np.zeros(len(files), bool)
    corrupt, hasher = [], hashlib.sha256()
    paths = [path for path, _ in files]
    for row, image in enumerate(decode_all(paths, form)):
        if image.pixels is None:
            corrupt.append(image)
            continue
        x[row], is_good[row] = image.pixels, True
        hasher.update(image.path.relative_to(folder).as_posix().encode() + b"\0")
        hasher.update(image.digest)
    if corrupt and on_corrupt == "refuse":
        raise DataError(
            f"{_corrupt_text(folder, corrupt)}. Replace or remove them, or say "
            "on_corrupt='skip'."
        )
    y = np.array([number for _, number in files])
    if corrupt:
        x, y = take(x, np.flatnonzero(is_good)), y[is_good]
        _check_classes_left(folder, y, class_names)
    return _Images(folder, x, y, class_names, hasher.hexdigest(), tuple(corrupt))


def _class_names(folder: Path) -> tuple[str, ...]:
    check_folder(folder)
    names = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith((".", "__"))
    )
    if len(names) < 2:
        present = f"only {names[0]!r}" if names else "none"
        raise DataError(
            f"{folder}: a folder for each class is needed, at least two; there is "
            f"{present}."
        )
    _check_not_split_before(folder, names)
    return tuple(names)


def _check_not_split_before(folder: Path, names: Sequence[str]) -> None:
    """Refuse a folder of train and test folders.

    Raises:
        DataError: All folders have names of parts of the data.
    """
    splits = {"train", "training", "test", "testing", "val", "valid", "validation"}
    if {name.lower() for name in names} <= splits:
        raise DataError(
            f"{folder}: {', '.join(names)} look like parts of the data, not like "
            f"classes. Use image_folder({str(folder / names[-1])!r}, test="
            f"{str(folder / names[0])!r})."
        )


def _check_files(
    folder: Path, files: Sequence[tuple[Path, int]], class_names: tuple[str, ...]
) -> None:
    present = {number for _, number in files}
    for number, name in enumerate(class_names):
        if number not in present:
            raise DataError(
                f"{folder / name}: there are no images in this folder of a class. "
                "Remove it, or put some there (jpg, png, bmp, gif, webp or tif)."
            )


def _check_classes(training: Path, folder: Path, class_names: tuple[str, ...]) -> None:
    names = _class_names(folder)
    if names != class_names:
        differing = sorted(set(names) ^ set(class_names))
        raise DataError(
            f"{folder}: the classes differ from those of {training}: "
            f"{', '.join(differing)} is in one of them only."
        )


def _check_classes_left(
    folder: Path, y: np.ndarray, class_names: tuple[str, ...]
) -> None:
    for number, name in enumerate(class_names):
        if number not in y:
            raise DataError(f"{folder / name}: all images of this class are corrupt.")


def _corrupt_text(folder: Path, corrupt: Sequence[Decoded]) -> str:
    shown = "; ".join(
        f"{image.path.relative_to(folder).as_posix()} ({image.problem})"
        for image in corrupt[:_SHOWN]
    )
    more = f"; … {len(corrupt) - _SHOWN} more" if len(corrupt) > _SHOWN else ""
    noun = "file is" if len(corrupt) == 1 else "files are"
    return f"{folder}: {len(corrupt)} {noun} corrupt or too large: {shown}{more}"
