"""The journal file of a study, with batched writes."""

import contextlib
import json
import os
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import (
    JournalFileBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
)


class BatchedJournal(JournalFileBackend):
    """Optuna's journal file with a write buffer.

    Every record costs a lock, a write and an fsync, and a trial has a dozen of them.
    Buffered records are read as if they were in the file. Therefore a record must not
    be buffered if its order among the records of other processes matters: those that
    start a trial or take one from the queue. Records about a trial of this process may
    be buffered.

    Args:
        path: The file; created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        # Symbolic links also work on network file systems, but need a privilege on
        # Windows.
        lock = JournalFileOpenLock if os.name == "nt" else JournalFileSymlinkLock
        super().__init__(str(path), lock_obj=lock(str(path)))
        self._path = path
        self._end = 0  # bytes read so far
        self._unread: deque[Any] = deque()
        self._buffer: list[Any] = []
        self._read_ahead: deque[Any] = deque()  # read before they were written
        self._is_buffering = False

    def start_buffering(self) -> None:
        """Buffer records from now on, until `flush`."""
        self._is_buffering = True

    def flush(self) -> None:
        """Append the buffered records, and stop buffering."""
        self._is_buffering = False
        records, self._buffer = self._buffer, []
        if records:
            super().append_logs(records)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Append all records of the block at its end."""
        self.start_buffering()
        try:
            yield
        finally:
            self.flush()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append or buffer records."""
        if not self._is_buffering:
            super().append_logs(logs)
            return
        as_read = json.loads(json.dumps(logs))
        self._read()
        self._buffer += logs
        self._unread += as_read
        self._read_ahead += as_read

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the records that were not yielded yet.

        Args:
            log_number_from: Number of records yielded so far. Ignored, as one storage
                reads a journal once.
        """
        self._read()
        while self._unread:
            yield self._unread.popleft()

    def _read(self) -> None:
        """Read the new records of the file, without those read ahead."""
        if self._path.stat().st_size <= self._end:
            return
        with self._path.open("rb") as file:
            file.seek(self._end)
            lines = file.readlines()
        for line in lines:
            try:
                record = _parse(line)
            except ValueError:
                if line is lines[-1]:  # its writer was killed, or is still writing
                    return
                raise
            self._end += len(line)
            if self._read_ahead and record == self._read_ahead[0]:
                self._read_ahead.popleft()
            else:
                self._unread.append(record)


def _parse(line: bytes) -> Any:
    if not line.endswith(b"\n"):
        raise ValueError("a line is truncated")
    return json.loads(line)
