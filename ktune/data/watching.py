"""Let somebody watch a source at work that takes its time."""

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
    """Have ``by`` called with a line of text every few seconds of work."""
    token = _watcher.set(by)
    try:
        yield
    finally:
        _watcher.reset(token)


def counted(items: Iterable[_T], *, total: int, what: str) -> Iterator[_T]:
    """Yield the items, telling whoever watches how many there have been.

    Args:
        items: What is worked on.
        total: How many there will be.
        what: The work in words, for instance "decoding images".
    """
    tell, said = _watcher.get(), time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if tell is not None and time.monotonic() - said > SECONDS_BETWEEN:
            said = time.monotonic()
            tell(f"{what}: {number:,} of {total:,}")
