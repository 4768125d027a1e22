"""Attempts at a trial that ended the process, so that a search does not end for ever.

Without workers, the code of the user runs in the process of the search. If it ends the
process (``os._exit``, a segmentation fault), a resumed search comes to the same trial
again, or another driver repeats it. A record names the trial at work and its values so
far; it is removed when the search ends in an orderly way, also by Ctrl-C or an error.
If it is found, the process ended at this trial.

A study of one driver has the record in a file beside it. In a database, each driver has
a record as an attribute of the study.
"""

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktune.searchers.configuration import Configuration
from ktune.trial import Value

if TYPE_CHECKING:
    import optuna

    from ktune.searchers.drivers import Drivers

_ATTEMPT = "ktune.attempt:"

MOST_ATTEMPTS = 2
"""Number of times a trial may end the process."""


@dataclass(frozen=True)
class Attempt:
    """Record of a trial at work.

    Attributes:
        number: Number of the trial.
        count: Number of processes that have worked at it, with this one.
        values: The values by key, as far as the builder has requested them.
    """

    number: int
    count: int
    values: Mapping[str, Value] = field(default_factory=dict)


class Attempts(ABC):
    """The trial at work in this process, and those at which other processes ended."""

    @abstractmethod
    def ended_at(self, number: int) -> Attempt | None:
        """Return the record of a trial at which earlier processes ended, if any."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the record of this process at an orderly end."""

    @abstractmethod
    def _write(self, record: Attempt) -> None:
        """Write the record of this process."""

    def has_ended_too_often(self, number: int) -> bool:
        """Whether a trial has ended the process as often as allowed."""
        ended = self.ended_at(number)
        return ended is not None and ended.count >= MOST_ATTEMPTS

    def note(self, number: int, configuration: Configuration) -> None:
        """Note a trial at work."""
        ended = self.ended_at(number)
        values = {step.key: step.value for step in configuration}
        self._write(Attempt(number, 1 + (ended.count if ended else 0), values))


class AttemptFile(Attempts):
    """The record of a search with one driver.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = _read(path)

    def ended_at(self, number: int) -> Attempt | None:
        """Return the record of a trial at which earlier processes ended, if any."""
        before = self._before
        return before if before is not None and before.number == number else None

    def remove(self) -> None:
        """Remove the file at an orderly end."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self, record: Attempt) -> None:
        # A full disk is reported by the study itself.
        with contextlib.suppress(OSError):
            self._path.write_text(json.dumps(asdict(record)), "utf-8")


class SharedAttempts(Attempts):
    """The records of the drivers of a search, each written by its driver.

    Args:
        study: The study of the search.
        drivers: This driver and the others.
    """

    def __init__(self, study: "optuna.Study", drivers: "Drivers") -> None:
        self._study = study
        self._drivers = drivers
        self._attribute = f"{_ATTEMPT}{drivers.number}"

    def ended_at(self, number: int) -> Attempt | None:
        """Return the last record of a trial at which other drivers died, if any.

        The caller must hold the lock.
        """
        present = {f"{_ATTEMPT}{driver}" for driver in self._drivers.present}
        ended = [
            Attempt(**record)
            for name, record in self._study.user_attrs.items()
            if name.startswith(_ATTEMPT) and record and name not in present
        ]
        ended = [attempt for attempt in ended if attempt.number == number]
        return max(ended, key=lambda attempt: attempt.count, default=None)

    def remove(self) -> None:
        """Empty the record of this driver; a study cannot drop an attribute."""
        if self._study.user_attrs.get(self._attribute):
            self._study.set_user_attr(self._attribute, None)

    def _write(self, record: Attempt) -> None:
        self._study.set_user_attr(self._attribute, asdict(record))


def _read(path: Path) -> Attempt | None:
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Attempt(**record)
    except (OSError, ValueError, TypeError):  # none, or the process ended in a write
        return None
