"""Ctrl-C: the first one lets running writes finish, a second one at once does not.

Python raises KeyboardInterrupt at any line. Between two writes that belong together it
would leave a trial half recorded, so such a block is shielded: the interrupt is
raised after the block. A second Ctrl-C within two seconds stops at once.
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
    """Time of the last interrupt."""

    at = -1e9


def note_interrupt() -> None:
    """Remember that an interrupt was handled now, so that the next is the second."""
    _Presses.at = time.monotonic()


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Delay the first interrupt until the end of the block.

    Raises:
        KeyboardInterrupt: At the end of the block after an interrupt within it; at
            once after the second interrupt within two seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
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
