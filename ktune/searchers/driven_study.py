"""Where the state of a search stands, and who drives it: one process, or several."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ktune.protocols import OtherDrivers
from ktune.trial import TrialResult

if TYPE_CHECKING:
    from ktune.metrics.ranking import Goal
    from ktune.searchers.trial_store import TrialStore

FindResult: TypeAlias = Callable[[int], TrialResult | None]
"""Returns the result of a trial that was recorded before its driver died, if it was."""


class DrivenStudy(OtherDrivers, Protocol):
    """The study of a search: `LocalStudy` in a file, `SharedStudy` in a database."""

    is_shared: bool
    """Whether several drivers can write it."""

    def session(self) -> AbstractContextManager[None]:
        """Drive the search in the block.

        Raises:
            StoreError: That is not possible.
        """
        ...

    def other_places(self) -> Sequence[str]:
        """Return where other drivers of the search run, as ``host:process``."""
        ...

    def open_trial_store(
        self, goal: "Goal", find_result: FindResult | None
    ) -> "TrialStore":
        """Return the record of the search, cleared of what a crash has left.

        To be called in a turn.
        """
        ...

    def space(self) -> Mapping[str, Any]:
        """Return what parameters can be, if nobody can read it off the study later."""
        ...

    def try_finalize(self) -> bool:
        """Stop asking; answer whether this driver is the one to close the search."""
        ...

    def mark_finalized(self) -> None:
        """Say that the search has been closed: its best trial refitted and so on."""
        ...

    def leave(self, finish: Callable[[], None]) -> None:
        """Drive no more; the last driver ends the search by ``finish``."""
        ...
