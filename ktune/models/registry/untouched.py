"""Select test rows on which two models can be compared without bias."""

from dataclasses import dataclass

import numpy as np

from ktune.data.folds import Partition
from ktune.errors import StoreError
from ktune.tracking import names
from ktune.tracking.artifacts import read_arrays, read_file
from ktune.tracking.model_registry import Registration
from ktune.tracking.store import Store

_MIN_ROWS = 30
"""Number of rows below which the interval is too wide."""


@dataclass(frozen=True, eq=False)
class UntouchedRows:
    """The rows to compare on.

    Attributes:
        positions: Positions in the present test set.
        note: Caveat of the comparison; "" if the champion has the same test rows.
    """

    positions: np.ndarray
    note: str = ""

    __test__ = False  # keeps pytest from collecting it


def rows_for_both(
    store: Store, champion: Registration, partition: Partition, data_digest: str
) -> UntouchedRows:
    """Return the rows of the present test set to measure both models on.

    If the champion had another test set of the same data, only the rows in both test
    sets count, if there are enough.

    Args:
        store: The store of the champion's search.
        champion: The champion; its tags have the digests of data and test rows.
        partition: The present split.
        data_digest: Digest of the present data.
    """
    assert partition.y_test is not None
    everything = np.arange(len(partition.y_test))
    has_same_data = champion.tags.get(names.DATA_DIGEST) == data_digest
    test_digest = champion.tags.get(names.TEST_DIGEST)
    if has_same_data and test_digest == partition.test_digest:
        return UntouchedRows(everything)
    anew = f"champion version {champion.version} is measured again"
    if not has_same_data:
        return UntouchedRows(
            everything,
            f"{anew} on the present test rows: it was trained on other data. It may "
            "have seen some of these rows in training, which favours it",
        )
    common = _left_untouched_by(store, champion, partition)
    if len(common) >= _MIN_ROWS:
        return UntouchedRows(
            common,
            f"{anew}: it has other test rows, so only the {len(common)} rows that "
            "neither has trained on count",
        )
    return UntouchedRows(
        everything,
        f"{anew} on the present test rows: it has other test rows. It has trained on "
        f"{len(everything) - len(common)} of these, which favours it",
    )


def _left_untouched_by(
    store: Store, champion: Registration, partition: Partition
) -> np.ndarray:
    """Return positions of present test rows that are also the champion's test rows."""
    run_id = champion.tags.get(names.SEARCH_RUN, "")
    nothing = np.array([], dtype=np.int64)
    if partition.test_rows is None:
        return nothing
    try:
        content = read_file(store, run_id, names.FOLDS_FILE)
        before = read_arrays(content, names.FOLDS_FILE, run_id).get("test_rows")
    except StoreError:
        return nothing  # its search was deleted, or the file is damaged
    if before is None:
        return nothing
    return np.flatnonzero(np.isin(partition.test_rows, before))
