"""Which test rows two models can be compared on without favour."""

import io
from dataclasses import dataclass

import numpy as np

from ktune.data.folds import Partition
from ktune.errors import StoreError
from ktune.tracking import names
from ktune.tracking.model_registry import Registration
from ktune.tracking.reader import read_file
from ktune.tracking.store import Store

_FEWEST = 30
"""Of fewer rows no interval tells anything."""


@dataclass(frozen=True, eq=False)
class UntouchedRows:
    """The rows to compare on.

    Attributes:
        positions: Within the present test set.
        note: What to know about them; "" when the champion was tested on the very
            same.
    """

    positions: np.ndarray
    note: str = ""

    __test__ = False  # not a class of tests, whatever pytest thinks of its name


def rows_for_both(
    store: Store, champion: Registration, partition: Partition, data_digest: str
) -> UntouchedRows:
    """Return the rows of the present test set to measure both models on.

    Where the champion had another test set of the same data, only the rows that both
    have left untouched count, if there are enough.

    Args:
        store: Where the champion's search stands.
        champion: Its tags tell data and test rows.
        partition: The present split.
        data_digest: Of the present data.
    """
    assert partition.y_test is not None
    everything = np.arange(len(partition.y_test))
    has_same_data = champion.tags.get(names.DATA_DIGEST) == data_digest
    test_digest = champion.tags.get(names.TEST_DIGEST)
    if has_same_data and test_digest == partition.test_digest:
        return UntouchedRows(everything)
    anew = f"champion version {champion.version} is measured anew"
    if not has_same_data:
        return UntouchedRows(
            everything,
            f"{anew} on the present test rows: it was made of other data. It may have "
            "trained on some of these rows, which is in its favour",
        )
    common = _left_untouched_by(store, champion, partition)
    if len(common) >= _FEWEST:
        return UntouchedRows(
            common,
            f"{anew}: its test rows were others, so only the {len(common)} rows count "
            "that both have left untouched",
        )
    return UntouchedRows(
        everything,
        f"{anew} on the present test rows: its own were others. It has trained on "
        f"{len(everything) - len(common)} of these, which is in its favour",
    )


def _left_untouched_by(
    store: Store, champion: Registration, partition: Partition
) -> np.ndarray:
    """Return positions of present test rows that were the champion's test rows too."""
    run_id = champion.tags.get(names.SEARCH_RUN, "")
    nothing = np.array([], dtype=np.int64)
    if partition.test_rows is None:
        return nothing
    try:
        content = read_file(store, run_id, names.FOLDS_FILE)
    except StoreError:
        return nothing  # its search was deleted
    with np.load(io.BytesIO(content), allow_pickle=False) as folds:
        theirs = folds["test_rows"] if "test_rows" in folds.files else nothing
    return np.flatnonzero(np.isin(partition.test_rows, theirs))
