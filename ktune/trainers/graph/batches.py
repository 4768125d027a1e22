"""The batches of one epoch, for folds that share a program call."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class StepBatches:
    """The batches of one epoch for several folds.

    Every fold processes its full batches, then its partial one, in the same kinds of
    steps for any sizes of the other folds: a partial batch needs operations of dynamic
    shape, whose last bit may differ from those of static shape.

    Attributes:
        full: Row positions of the batches that all folds have, shape
            (n_steps, n_folds, batch_size), int32.
        uneven: Further full batches, which only some folds have, in the same form.
        uneven_counts: ``batch_size``, or 0 if the fold has no such batch; shape
            (n_uneven_steps, n_folds), int32.
        partial: The last batch of each fold, padded; n_partial_steps is 0 or 1.
        partial_counts: Number of real rows in it, 0 without a partial batch.
    """

    full: np.ndarray
    uneven: np.ndarray
    uneven_counts: np.ndarray
    partial: np.ndarray
    partial_counts: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order of a program's arguments."""
        uneven = (self.uneven, self.uneven_counts)
        return (self.full, *uneven, self.partial, self.partial_counts)


def make_batches(orders: Sequence[np.ndarray], batch_size: int) -> StepBatches:
    """Cut the order of each fold into batches."""
    sizes = np.array([len(order) for order in orders])
    n_full, n_partial = sizes // batch_size, sizes % batch_size
    n_most, n_common = n_full.max(), n_full.min()
    rows = np.zeros((len(orders), n_most * batch_size), np.int32)
    partial = np.zeros((1, len(orders), batch_size), np.int32)
    for fold, order in enumerate(orders):
        end = n_full[fold] * batch_size
        rows[fold, :end] = order[:end]
        partial[0, fold, : n_partial[fold]] = order[end:]
    steps = rows.reshape(len(orders), n_most, batch_size).transpose(1, 0, 2)
    n_partial_steps = int(n_partial.any())
    is_real = np.arange(n_common, n_most)[:, None] < n_full
    return StepBatches(
        full=steps[:n_common],
        uneven=steps[n_common:],
        uneven_counts=(is_real * batch_size).astype(np.int32),
        partial=partial[:n_partial_steps],
        partial_counts=n_partial[None, :].astype(np.int32)[:n_partial_steps],
    )
