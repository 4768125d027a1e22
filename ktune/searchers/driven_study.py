"""The study of a search and its drivers: one process, or several."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ktune.protocols import OtherDrivers
from ktune.trial import TrialResult

if TYPE_CHECKING:
    from ktune.metrics.ranking import Goal
    from ktune.searchers.attempts import Attempts
    from ktune.searchers.trial_store import TrialStore

FindResult: TypeAlias = Callable[[int], TrialResult | None]
"""Returns the result of a trial by its number, if its dead driver recorded it."""


class DrivenStudy(OtherDrivers, Protocol):
    """The study of a search: `LocalStudy` in a file, `SharedStudy` in a database."""

    is_shared: bool
    """Whether several drivers can write it."""

    def session(self) -> AbstractContextManager[None]:
        """Drive the search in the block.

        Raises:
            StoreError: The study is locked, missing or unusable.
        """
        ...

    def other_addresses(self) -> Sequence[str]:
        """Return the addresses of the other drivers, as ``host:process``."""
        ...

    def open_trial_store(
        self, goal: "Goal", find_result: FindResult | None
    ) -> "TrialStore":
        """Return the trial store of the search after recovery from a crash.

        The caller must hold the lock.
        """
        ...

    def attempts(self) -> "Attempts | None":
        """Return the record of the trial at work; None if there is none."""
        ...

    def space(self) -> Mapping[str, Any]:
        """Return the parameters as JSON, if the study cannot be read later."""
        ...

    def try_finalize(self) -> bool:
        """Stop asking; return whether this driver is to finalize the search."""
        ...

    def mark_finalized(self) -> None:
        """Record that the search is finalized: refitted, registered, reported."""
        ...

    def leave(self, finish: Callable[[], None]) -> None:
        """Stop driving; the last driver ends the search by ``finish``."""
        ...
