"""A worker on a Ray cluster, which evaluates one trial at a time.

Every call returns the next message of a trial: the report of an epoch, or the result.
The next call passes the answer to a report. The driver thus follows a trial while it
runs, and can stop it, on any machine.
"""

import os
import pickle
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias

from ktune.protocols import Report
from ktune.trial import EpochReport, Failure, Trial, TrialResult, TrialState

Message: TypeAlias = EpochReport | TrialResult


@dataclass(frozen=True)
class RaySetup:
    """Setup of a worker.

    Attributes:
        environment: Environment variables.
        sources: Local modules by name, as content.
    """

    environment: Mapping[str, str]
    sources: Mapping[str, bytes]


class RayWorker:
    """Keeps TensorFlow, the data and compiled programs from trial to trial."""

    def __init__(self) -> None:
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._answers: SimpleQueue[bool] = SimpleQueue()
        self._evaluate: Callable[[Trial, Report], TrialResult] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def set_up(self, setup: RaySetup, pickled: bytes, arrays: list[Any]) -> None:
        """Prepare for trials.

        Args:
            setup: Environment and local modules.
            pickled: The function that evaluates a trial, see `serialization.pack`.
            arrays: Its arrays in the node's object store, which are not copied.
        """
        os.environ.update(setup.environment)
        self._folder = tempfile.TemporaryDirectory(prefix="ktune-")
        _write(setup.sources, Path(self._folder.name))
        sys.path.insert(0, self._folder.name)
        self._evaluate = pickle.loads(pickled, buffers=arrays)

    def start(self, trial: Trial) -> Message:
        """Start a trial; return its first message."""
        threading.Thread(target=self._run, args=(trial,), daemon=True).start()
        return self._messages.get()

    def proceed(self, continues: bool) -> Message:
        """Answer the last report; return the next message."""
        self._answers.put(continues)
        return self._messages.get()

    def close(self) -> None:
        """Remove the temporary folder; the driver terminates the process itself."""
        if self._folder is not None:
            self._folder.cleanup()

    def _run(self, trial: Trial) -> None:
        assert self._evaluate is not None
        try:
            self._messages.put(self._evaluate(trial, self._report))
        except BaseException as error:  # else the driver would wait forever
            failure = Failure(type(error).__name__, str(error), traceback.format_exc())
            self._messages.put(TrialResult(TrialState.FAILED, failure=failure))

    def _report(self, report: EpochReport) -> bool:
        self._messages.put(report)
        return self._answers.get()


def _write(sources: Mapping[str, bytes], folder: Path) -> None:
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
