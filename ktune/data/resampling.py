"""Random over- and undersampling, of a fold's training rows and of nothing else."""

from dataclasses import replace

import numpy as np

from ktune.data.preprocessing import PreparedFold
from ktune.errors import ExperimentError
from ktune.utils.seeds import derive_seed


def resample_fold(
    fold: PreparedFold, how: str | None, *, seed: int, is_classification: bool
) -> PreparedFold:
    """Return the fold with equally many training rows of every class.

    The rows scored, of training and validation alike, stay as they are: scores speak
    of the data as they occur.

    Args:
        fold: As prepared.
        how: "over": rows of the rarer classes occur several times, as many as the most
            frequent class has; "under": as many rows of each class are kept as the
            rarest has. None: nothing.
        seed: Of the fold.
        is_classification: Whether each row has exactly one class.

    Raises:
        ExperimentError: There are no classes.
    """
    if how is None:
        return fold
    if not is_classification:
        raise ExperimentError(
            f"`fit` setting 'resample' is {how!r}, but the rows have no classes to "
            "balance. Leave it out."
        )
    rng = np.random.default_rng(derive_seed(seed, "resample"))
    y = fold.y[fold.train]
    classes, counts = np.unique(y, return_counts=True)
    size = int(counts.max() if how == "over" else counts.min())
    parts = [_drawn(fold.train[y == label], size, rng) for label in classes]
    return replace(fold, train=np.sort(np.concatenate(parts)))


def _drawn(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``size`` of the rows; all of them and some once more if need be."""
    if size <= len(rows):
        return rng.choice(rows, size, replace=False)
    return np.concatenate([rows, rng.choice(rows, size - len(rows))])
