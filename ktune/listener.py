"""The interface through which a search reports its progress."""

from ktune.experiment.experiment import Experiment
from ktune.metrics.scores import Objective
from ktune.trial import EpochReport, Trial, TrialResult


class Listener:
    """Receives the events of a search; this one shows nothing.

    Override the events of interest.
    """

    def on_search_start(
        self, experiment: Experiment, objective: Objective, run_id: str
    ) -> None:
        """The pre-flight is over and trials will follow."""

    def on_phase(self, text: str) -> None:
        """A phase begins that may take long."""

    def on_note(self, text: str) -> None:
        """A note for the user."""

    def on_trial_start(self, trial: Trial) -> None:
        """A trial begins."""

    def on_epoch(self, report: EpochReport) -> None:
        """A trial has finished an epoch."""

    def on_trial_end(self, trial: Trial, result: TrialResult) -> None:
        """A trial is over and recorded."""

    def close(self) -> None:
        """Release the terminal; safe to call twice."""
