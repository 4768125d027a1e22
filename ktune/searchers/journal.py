"""A study's file, to which what belongs together is appended at once."""

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
    """Optuna's journal file, where records can be kept back for a while.

    Every record costs a lock, a write and a wait for the disk, and a trial makes a
    dozen of them. What is kept back is read as if it stood in the file. So nothing may
    be kept back whose order among other processes' records matters: what begins a
    trial or takes one from the queue; but what is said of a trial of one's own may.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        # Symbolic links, which hold on network file systems too, need a privilege on
        # Windows.
        lock = JournalFileOpenLock if os.name == "nt" else JournalFileSymlinkLock
        super().__init__(str(path), lock_obj=lock(str(path)))
        self._path = path
        self._end = 0  # of what has been read, in bytes
        self._unread: deque[Any] = deque()
        self._kept_back: list[Any] = []
        self._ahead: deque[Any] = deque()  # read before they stood in the file
        self._keeps_back = False

    def keep_back(self) -> None:
        """Keep back records from now on, until `release`."""
        self._keeps_back = True

    def release(self) -> None:
        """Append what was kept back; does no harm when nothing was."""
        self._keeps_back = False
        records, self._kept_back = self._kept_back, []
        if records:
            super().append_logs(records)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Append all records of the block at its end."""
        self.keep_back()
        try:
            yield
        finally:
            self.release()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records, or keep them back."""
        if not self._keeps_back:
            super().append_logs(logs)
            return
        as_read = json.loads(json.dumps(logs))
        self._read()
        self._kept_back += logs
        self._unread += as_read
        self._ahead += as_read

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the records that were not yielded yet.

        Args:
            log_number_from: How many were; a journal is read by one storage, once.
        """
        self._read()
        while self._unread:
            yield self._unread.popleft()

    def _read(self) -> None:
        """Take in what is new in the file, but for what was read ahead."""
        if self._path.stat().st_size <= self._end:
            return
        with self._path.open("rb") as file:
            file.seek(self._end)
            lines = file.readlines()
        for line in lines:
            try:
                record = _parse(line)
            except ValueError:
                if line is lines[-1]:  # who writes it was interrupted, or is at it
                    return
                raise
            self._end += len(line)
            if self._ahead and record == self._ahead[0]:
                self._ahead.popleft()
            else:
                self._unread.append(record)


def _parse(line: bytes) -> Any:
    if not line.endswith(b"\n"):
        raise ValueError("a line is cut off")
    return json.loads(line)
