"""What becomes of a trial whose worker is gone, or does not come to an end."""

from ktune.trial import Failure, TrialResult, TrialState

GRACE = 1.5
"""So many times its time a trial may take to get to the end of an epoch."""


def worker_died(message: str, log_tail: str = "") -> TrialResult:
    """Return the result of a trial that a dead worker was working on."""
    failure = Failure("WorkerDied", message, log_tail)
    return TrialResult(TrialState.FAILED, failure=failure)


def timed_out(seconds: float, log_tail: str = "") -> TrialResult:
    """Return the result of a trial that went on without end for so many seconds."""
    message = (
        f"no epoch ended in {GRACE:g} times `trial_timeout`; its process was ended"
    )
    failure = Failure("TrialTimeout", message, log_tail)
    return TrialResult(TrialState.FAILED, seconds=seconds, failure=failure)
