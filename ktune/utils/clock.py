"""The time of records, which never goes back."""

import time


class Clock:
    """The system's clock, but it does not go back when that one is set back.

    Else a run would end before its start, and MLflow would show the older of two
    values of a metric as the latest one.
    """

    def __init__(self) -> None:
        self._latest = time.time()
        self._read_at = time.monotonic()

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        elapsed = time.monotonic() - self._read_at
        self._latest = max(time.time(), self._latest + elapsed)
        self._read_at += elapsed
        return self._latest

    def advance_to(self, seconds: float) -> None:
        """Do not return a time before this one from now on."""
        self._latest = max(self.now(), seconds)
