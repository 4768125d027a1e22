"""Show the progress of a search: a live display, or one plain line per trial."""

import math
import sys
import time
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.metrics.scores import Objective
from ktune.tracking.records import values_text
from ktune.trial import EpochReport, Trial, TrialResult, TrialState
from ktune.utils.terminal import make_console
from ktune.utils.text import count_of, one_line

_MARK = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAILED: "failed",
}


def make_listener(*, quiet: bool = False, stream: TextIO | None = None) -> Listener:
    """Return a silent listener, a live display, or one with plain lines.

    Args:
        quiet: Whether to show nothing.
        stream: Output stream. None: standard error, so that standard output has only
            results.
    """
    if quiet:
        return Listener()
    console = make_console(stream or sys.stderr)
    return LiveListener(console) if console.is_terminal else PlainListener(console)


class Scoreboard:
    """Counts trials and the best score, for both displays."""

    def __init__(self) -> None:
        self.objective = Objective("score", "max")
        self.wanted = 0
        self.finished = 0
        self.pruned = 0
        self.failed = 0
        self.best: tuple[int, float] | None = None
        self.started = time.monotonic()
        self.timeout: float | None = None

    def start(self, experiment: Experiment, objective: Objective) -> None:
        """Set the objective, the number of trials and the timeout."""
        self.objective, self.wanted = objective, experiment.trials
        self.timeout = experiment.timeout_seconds
        self.started = time.monotonic()

    def count(self, trial: Trial, result: TrialResult) -> bool:
        """Count a finished trial; return whether it is the best so far."""
        self.failed += result.state is TrialState.FAILED
        self.pruned += result.state is TrialState.PRUNED
        self.finished += result.state is not TrialState.FAILED
        score = result.score
        if not result.is_complete or score is None:
            return False
        if self.best is None or self.objective.is_better(score, self.best[1]):
            self.best = (trial.number, score)
            return True
        return False

    def seconds_left(self) -> float | None:
        """Forecast from the mean time of the trials so far."""
        if not self.finished:
            return None
        spent = time.monotonic() - self.started
        return spent / self.finished * max(0, self.wanted - self.finished)

    def forecast(self) -> str:
        """Return the time left, or the number of trials until the timeout.

        Example:
            >>> Scoreboard().forecast()
            'time left unknown'
        """
        left = self.seconds_left()
        if left is None or self.timeout is None:
            return time_left_text(left)
        spent = time.monotonic() - self.started
        if spent + left <= self.timeout:
            return time_left_text(left)
        reached = max(self.finished, round(self.finished * self.timeout / spent))
        return f"about {reached} of {self.wanted} trials in {_time(self.timeout)}"

    def best_text(self) -> str:
        """Return the best score so far as short text."""
        if self.best is None:
            return "no score yet"
        number, score = self.best
        return f"best {self.objective.metric} {score:.4f} (trial {number})"


class PlainListener(Listener):
    """Writes one line per trial, for logs and files.

    Args:
        console: The console.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board = Scoreboard()

    def on_search_start(
        self, experiment: Experiment, objective: Objective, run_id: str
    ) -> None:
        """Write the objective and the run of the search."""
        self._board.start(experiment, objective)
        self._write(start_text(experiment, objective, run_id))

    def on_phase(self, text: str) -> None:
        """Write the phase that begins."""
        self._write(f"{text} …")

    def on_note(self, text: str) -> None:
        """Write a note."""
        self._write(text)

    def on_trial_end(self, trial: Trial, result: TrialResult) -> None:
        """Write the line of the trial."""
        is_best = self._board.count(trial, result)
        tail = f"  [{self._board.best_text()}; {self._board.forecast()}]"
        self._write(trial_text(trial, result, self._board.objective, is_best) + tail)

    def _write(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


class LiveListener(Listener):
    """Shows a live line at the bottom, with finished trials above it.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board = Scoreboard()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._line = self._progress.add_task("starting", total=None, status="")
        self._progress.start()

    def on_search_start(
        self, experiment: Experiment, objective: Objective, run_id: str
    ) -> None:
        """Show the objective and the run, and start counting trials."""
        self._board.start(experiment, objective)
        self._progress.print(start_text(experiment, objective, run_id), markup=False)
        self._progress.update(self._line, total=experiment.trials, completed=0)

    def on_phase(self, text: str) -> None:
        """Show the phase that begins."""
        self._progress.update(self._line, description=text, status="")

    def on_note(self, text: str) -> None:
        """Print a note above the live line."""
        self._progress.print(text, style="yellow", markup=False)

    def on_trial_start(self, trial: Trial) -> None:
        """Show the trial's number."""
        self._progress.update(self._line, description=f"trial {trial.number}")

    def on_epoch(self, report: EpochReport) -> None:
        """Show epoch, score, best and time left."""
        metric = self._board.objective.metric
        self._progress.update(
            self._line,
            description=f"trial {report.trial_number}",
            status=f"{report.unit} {report.epoch + 1}/{report.epochs} "
            f"{metric} {report.value:.4f} · {self._board.best_text()} · "
            f"{self._board.forecast()}",
        )

    def on_trial_end(self, trial: Trial, result: TrialResult) -> None:
        """Print the line of the trial above the live line."""
        is_best = self._board.count(trial, result)
        text = trial_text(trial, result, self._board.objective, is_best)
        style = "green" if is_best else _STYLE[result.state]
        self._progress.print(text, style=style, markup=False, overflow="ellipsis")
        self._progress.update(self._line, completed=self._board.finished)

    def close(self) -> None:
        """Remove the live line."""
        self._progress.stop()


_STYLE = {
    TrialState.COMPLETE: "default",
    TrialState.PRUNED: "bright_black",
    TrialState.FAILED: "red",
}


def start_text(experiment: Experiment, objective: Objective, run_id: str) -> str:
    """Return the first line of a search."""
    aim = "highest" if objective.direction == "max" else "lowest"
    trials = count_of(experiment.trials, "trial")
    return (
        f"search {run_id[:8]} of {experiment.name!r}: {trials} for "
        f"the {aim} {objective.metric} by {experiment.engine} "
        f"({experiment.chosen_sampler})"
    )


def trial_text(
    trial: Trial, result: TrialResult, objective: Objective, is_best: bool
) -> str:
    """Return the line of a finished trial."""
    head = f"trial {trial.number:>3} {_MARK[result.state]:<6} {result.seconds:6.1f}s"
    if result.failure is not None:
        message = result.failure.message.strip().splitlines() or [""]
        return f"{head} {result.failure.kind}: {one_line(message[0])}"
    spread = _spread(result, objective)
    star = "*" if is_best else " "
    score = f"{objective.metric} {result.score:.4f}{spread}{star}"
    return f"{head} {score} epoch {result.epochs:>2}  {values_text(trial.values)}"


def time_left_text(seconds: float | None) -> str:
    """Return the remaining time of the search as text.

    Example:
        >>> time_left_text(None), time_left_text(42), time_left_text(700)
        ('time left unknown', '42 s left', '12 min left')
    """
    if seconds is None:
        return "time left unknown"
    return f"{_time(seconds)} left"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _spread(result: TrialResult, objective: Objective) -> str:
    scores = [fold.validation.get(objective.metric, math.nan) for fold in result.folds]
    if len(scores) < 2:
        return ""
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((s - mean) ** 2 for s in scores) / (len(scores) - 1))
    return f" ±{deviation:.4f}"
