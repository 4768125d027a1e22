"""A study in a local file, driven by one process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktune.protocols import DriverCounts
from ktune.searchers.attempts import AttemptFile
from ktune.searchers.driven_study import FindResult
from ktune.searchers.trial_store import TrialStore, open_trial_store
from ktune.utils.file_lock import driving

if TYPE_CHECKING:
    from ktune.metrics.ranking import Goal


class LocalStudy:
    """A journal that is locked while this process drives the search.

    Args:
        path: The file, or the URL of a database without other drivers.
        name: Name of the study.
    """

    is_shared = False

    def __init__(self, path: str | Path, name: str) -> None:
        self._path = path
        self._name = name

    @contextmanager
    def session(self) -> Iterator[None]:
        """Drive the search in the block.

        Raises:
            StoreError: Another process drives it.
        """
        with driving(Path(self._path)):
            try:
                yield
            finally:
                if attempts := self.attempts():
                    attempts.remove()

    def other_addresses(self) -> Sequence[str]:
        """Return no addresses."""
        return ()

    def open_trial_store(
        self, goal: "Goal", find_result: FindResult | None
    ) -> TrialStore:
        """Return the trial store of the search after recovery from a crash."""
        trial_store = open_trial_store(self._path, self._name, goal=goal)
        trial_store.recover(find_result)
        return trial_store

    def attempts(self) -> AttemptFile | None:
        """Return the file with the trial at work, beside the study."""
        if "://" in str(self._path):
            return None
        return AttemptFile(Path(self._path).with_suffix(".attempt"))

    def lock(self) -> AbstractContextManager[DriverCounts]:
        """Return an empty context: there are no other drivers."""
        return nullcontext(DriverCounts())

    def check_in(self) -> None:
        """Do nothing: there are no other drivers."""

    def space(self) -> Mapping[str, Any]:
        """Return no parameters: the file stays beside the store."""
        return {}

    def try_finalize(self) -> bool:
        """Return True: there are no other drivers."""
        return True

    def mark_finalized(self) -> None:
        """Do nothing: a resumed search is finalized again."""

    def leave(self, finish: Callable[[], None]) -> None:
        """End the search."""
        finish()
