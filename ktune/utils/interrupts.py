"""Ctrl-C: the first one lets the books be finished, a second one at once does not.

Python turns Ctrl-C into an exception wherever it happens to be. In between two writes
that belong together that would leave a trial half recorded, so such pairs are shielded:
the interrupt is remembered and raised after them. Who is in a hurry presses twice.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

HURRY_SECONDS = 2.0
"""A second interrupt within this time stops at once."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Presses:
    """When the last interrupt came."""

    at = -1e9


def note_interrupt() -> None:
    """Say that an interrupt has just been taken, so that the next may be the second."""
    _Presses.at = time.monotonic()


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Hold back the first interrupt until the block is through.

    Raises:
        KeyboardInterrupt: At the end of the block when an interrupt came in it; at
            once when it was the second within two seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are for the main thread
        return
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        is_hurry = time.monotonic() - _Presses.at <= HURRY_SECONDS
        note_interrupt()
        if is_hurry:
            raise KeyboardInterrupt
        held.append(number)

    before: dict[int, Any] = {s: signal.signal(s, hold) for s in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt
