"""Attempts at a trial that ended the process, so that a search does not end for ever.

Without workers, the code of the user runs in the process of the search. If it ends the
process (``os._exit``, a segmentation fault), a resumed search comes to the same trial
again. A file beside the study names the trial at work and its values so far; it is
removed when the search ends in an orderly way, also by Ctrl-C or an error. If it is
found, the process ended at this trial.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ktune.searchers.configuration import Configuration
from ktune.trial import Value

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


class AttemptFile:
    """The file with the trial at work.

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

    def has_ended_too_often(self, number: int) -> bool:
        """Whether a trial has ended the process as often as allowed."""
        ended = self.ended_at(number)
        return ended is not None and ended.count >= MOST_ATTEMPTS

    def note(self, number: int, configuration: Configuration) -> None:
        """Note a trial at work."""
        ended = self.ended_at(number)
        values = {step.key: step.value for step in configuration}
        record = Attempt(number, 1 + (ended.count if ended else 0), values)
        # A full disk is reported by the study itself.
        with contextlib.suppress(OSError):
            self._path.write_text(json.dumps(asdict(record)), "utf-8")

    def remove(self) -> None:
        """Remove the file at an orderly end."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> Attempt | None:
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Attempt(**record)
    except (OSError, ValueError, TypeError):  # none, or the process ended in a write
        return None
