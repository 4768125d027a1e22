"""Progress messages of sources that take long to load."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

_T = TypeVar("_T")

SECONDS_BETWEEN = 2.0

_watcher: ContextVar[Callable[[str], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(by: Callable[[str], None]) -> Iterator[None]:
    """Call ``by`` with a progress message every few seconds of the block."""
    token = _watcher.set(by)
    try:
        yield
    finally:
        _watcher.reset(token)


def counted(items: Iterable[_T], *, total: int, what: str) -> Iterator[_T]:
    """Yield the items, and send the number of items so far to the watcher.

    Args:
        items: The items of the work.
        total: Number of items.
        what: Description of the work, for instance "decoding images".
    """
    watcher, last_message = _watcher.get(), time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if watcher is not None and time.monotonic() - last_message > SECONDS_BETWEEN:
            last_message = time.monotonic()
            watcher(f"{what}: {number:,} of {total:,}")
