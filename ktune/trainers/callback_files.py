"""Files that Keras's callbacks write: a folder of its own for each trial and fold."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ktune.errors import ExperimentError

_PATHS = {
    "ModelCheckpoint": "filepath",
    "CSVLogger": "filename",
    "TensorBoard": "log_dir",
}
"""Callbacks that write, and the attribute with the path."""


def write_below(callback: Any, folder: str) -> None:
    """Let a callback write to a folder beside where it would write.

    ``logs/best.keras`` becomes ``logs/trial-3/fold-0/best.keras``: else the folds of
    all trials would overwrite one file.

    Args:
        callback: A Keras callback of one fold.
        folder: Such as ``trial-3/fold-0``.
    """
    attribute = _path_attribute(callback)
    if attribute is None:
        return
    path = Path(getattr(callback, attribute))
    own = path / folder if attribute == "log_dir" else path.parent / folder / path.name
    own.parent.mkdir(parents=True, exist_ok=True)
    setattr(callback, attribute, str(own))


def refuse_backup(callback: Any) -> None:
    """Refuse a callback that restores the training of another fold or trial.

    Raises:
        ExperimentError: The callback is ``BackupAndRestore``.
    """
    import keras

    if isinstance(callback, keras.callbacks.BackupAndRestore):
        raise ExperimentError(
            "`fit` setting 'callbacks' holds BackupAndRestore, which would restore the "
            "weights of another fold or trial. Leave it out: an interrupted search "
            "goes on with --resume."
        )


def note_on_files(callbacks: Iterable[Any]) -> tuple[str, ...]:
    """Return a sentence on where callbacks write; none if no callback writes."""
    names = [type(c).__name__ for c in callbacks if _path_attribute(c) is not None]
    if not names:
        return ()
    return (
        f"Files of {', '.join(dict.fromkeys(names))} go to a folder for each trial and "
        "fold, such as trial-0/fold-0/; the refit writes to trial-0/refit/.",
    )


def _path_attribute(callback: Any) -> str | None:
    import keras

    for name, attribute in _PATHS.items():
        if isinstance(callback, getattr(keras.callbacks, name)):
            return attribute
    return None
