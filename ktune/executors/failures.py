"""Results of trials whose worker died or hangs."""

from ktune.trial import Failure, TrialResult, TrialState

TIMEOUT_FACTOR = 1.5
"""Multiple of `trial_timeout` after which a worker without a finished epoch hangs."""


def worker_died(message: str, log_tail: str = "") -> TrialResult:
    """Return the result of a trial whose worker died."""
    failure = Failure("WorkerDied", message, log_tail)
    return TrialResult(TrialState.FAILED, failure=failure)


def process_ended() -> TrialResult:
    """Return the result of a trial that ended the process of the search."""
    message = (
        "it ended the process twice: `build` or the training crashed, called "
        "`os._exit`, or the process was killed. With `--jobs 2` such a trial ends its "
        "worker only"
    )
    return TrialResult(TrialState.FAILED, failure=Failure("ProcessEnded", message, ""))


def timed_out(seconds: float, log_tail: str = "") -> TrialResult:
    """Return the result of a trial that hung for a number of seconds."""
    message = (
        f"no epoch ended within {TIMEOUT_FACTOR:g} times `trial_timeout`; its process "
        "was terminated"
    )
    failure = Failure("TrialTimeout", message, log_tail)
    return TrialResult(TrialState.FAILED, seconds=seconds, failure=failure)
