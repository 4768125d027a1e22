"""Random over- and undersampling of the training rows of a fold."""

from dataclasses import replace

import numpy as np

from ktune.data.preprocessing import PreparedFold
from ktune.errors import ExperimentError
from ktune.utils.seeds import derive_seed


def resample_fold(
    fold: PreparedFold, how: str | None, *, seed: int, is_classification: bool
) -> PreparedFold:
    """Return the fold with the same number of training rows of every class.

    Training and validation rows for scoring are not resampled, so that scores refer
    to the original distribution.

    Args:
        fold: The prepared fold.
        how: "over": rows of rarer classes are repeated up to the number of the most
            frequent class; "under": rows of each class are dropped down to the number
            of the rarest class. None: no resampling.
        seed: Seed of the fold.
        is_classification: Whether each row has exactly one class.

    Raises:
        ExperimentError: The task has no classes.
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
    """Return ``size`` rows drawn at random; if too few, all rows and repeated ones."""
    if size <= len(rows):
        return rng.choice(rows, size, replace=False)
    return np.concatenate([rows, rng.choice(rows, size - len(rows))])
