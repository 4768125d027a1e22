"""A study in a file of this machine, driven by one process."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktune.protocols import DriverCounts
from ktune.searchers.driven_study import FindResult
from ktune.searchers.trial_store import TrialStore, open_trial_store
from ktune.utils.file_lock import driving

if TYPE_CHECKING:
    from ktune.metrics.ranking import Goal


class LocalStudy:
    """A journal, locked for as long as this process drives the search.

    Args:
        path: The file; or the URL of a database that nobody else uses.
        name: Name of the study.
    """

    is_shared = False

    def __init__(self, path: str | Path, name: str) -> None:
        self._path = path
        self._name = name

    def session(self) -> AbstractContextManager[None]:
        """Drive the search in the block.

        Raises:
            StoreError: Another process does.
        """
        return driving(Path(self._path))

    def other_places(self) -> Sequence[str]:
        """There is none."""
        return ()

    def open_trial_store(
        self, goal: "Goal", find_result: FindResult | None
    ) -> TrialStore:
        """Return the record of the search, cleared of what a crash has left."""
        trial_store = open_trial_store(self._path, self._name, goal=goal)
        trial_store.recover(find_result)
        return trial_store

    def turn(self) -> AbstractContextManager[DriverCounts]:
        """There are no others."""
        return nullcontext(DriverCounts())

    def check_in(self) -> None:
        """Nobody needs to know."""

    def space(self) -> Mapping[str, Any]:
        """Nothing: the file stays where the store is."""
        return {}

    def try_finalize(self) -> bool:
        """Nobody else can."""
        return True

    def mark_finalized(self) -> None:
        """Nobody needs to know; who goes on with the search closes it anew."""

    def leave(self, finish: Callable[[], None]) -> None:
        """End the search."""
        finish()
