"""A worker on a Ray cluster: evaluates one trial at a time, in a conversation.

Every call returns the next thing a trial has to say: what it reports after an epoch,
or its result. The answer to a report is the next call. So the driver hears of a trial
while it runs, and can stop it, wherever the worker is.
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
    """What a worker is told first.

    Attributes:
        environment: Variables it computes by.
        sources: Local modules it may have to import: name to content.
    """

    environment: Mapping[str, str]
    sources: Mapping[str, bytes]


class RayWorker:
    """Keeps TensorFlow, the data and compiled programs from trial to trial."""

    def __init__(self) -> None:
        self._said: SimpleQueue[Message] = SimpleQueue()
        self._answers: SimpleQueue[bool] = SimpleQueue()
        self._evaluate: Callable[[Trial, Report], TrialResult] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def set_up(self, setup: RaySetup, pickled: bytes, arrays: list[Any]) -> None:
        """Get ready for trials.

        Args:
            setup: How to compute, and with which modules.
            pickled: The function that evaluates a trial, see `shipment.pack`.
            arrays: Its arrays; in the node's object store, and never copied.
        """
        os.environ.update(setup.environment)
        self._folder = tempfile.TemporaryDirectory(prefix="ktune-")
        _write(setup.sources, Path(self._folder.name))
        sys.path.insert(0, self._folder.name)
        self._evaluate = pickle.loads(pickled, buffers=arrays)

    def begin(self, trial: Trial) -> Message:
        """Start a trial; return the first thing it says."""
        threading.Thread(target=self._run, args=(trial,), daemon=True).start()
        return self._said.get()

    def go_on(self, may_go_on: bool) -> Message:
        """Answer its last report; return the next thing it says."""
        self._answers.put(may_go_on)
        return self._said.get()

    def close(self) -> None:
        """Leave nothing behind; the process itself is ended by the driver."""
        if self._folder is not None:
            self._folder.cleanup()

    def _run(self, trial: Trial) -> None:
        assert self._evaluate is not None
        try:
            self._said.put(self._evaluate(trial, self._report))
        except BaseException as error:  # or nobody would ever say anything
            told = Failure(type(error).__name__, str(error), traceback.format_exc())
            self._said.put(TrialResult(TrialState.FAILED, failure=told))

    def _report(self, report: EpochReport) -> bool:
        self._said.put(report)
        return self._answers.get()


def _write(sources: Mapping[str, bytes], folder: Path) -> None:
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
