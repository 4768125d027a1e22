"""The exceptions of ktune: `KtuneError` for mistakes that the user can correct."""


class KtuneError(Exception):
    """A mistake that the user can correct.

    The message says what happened, where, and how to correct it. The command line
    prints it without a traceback and exits with code 2.
    """


class ExperimentError(KtuneError):
    """An experiment file, a field of an experiment or an option is wrong."""


class DataError(KtuneError):
    """The data cannot be read, or a model cannot be trained on them."""


class SpaceError(KtuneError):
    """The declaration of a hyperparameter is not supported by the engine."""


class StoreError(KtuneError):
    """The MLflow store or the study cannot be read or written."""


class ServerUnavailable(StoreError):
    """The MLflow server does not answer; the same request may succeed later."""


class ClusterLost(KtuneError):
    """The Ray cluster of a search has ended; the search can be resumed elsewhere."""


class UnknownReference(KtuneError):
    """A RUN, SEARCH or MODEL named by the user does not exist or is ambiguous."""


class ExportError(KtuneError):
    """A model cannot be exported: by its format, its target or the options."""


class SearchAborted(KtuneError):
    """A search was stopped because every further trial would fail as well."""


class RefitFailed(KtuneError):
    """The chosen trial cannot be trained once more on all rows."""


class TrialFailed(Exception):
    """A trial cannot be evaluated; the search goes on without it.

    Args:
        message: The reason; the same for all trials that fail alike.
        details: The part of the reason that differs between trials.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class ConstraintViolated(TrialFailed):
    """A trial's model exceeds a limit on size or latency, so it is not trained."""


class OutOfMemory(TrialFailed):
    """The training of a trial needs more memory than is available."""


class WorkerDied(TrialFailed):
    """The worker process of a trial has ended unexpectedly."""


class ExportRefused(Exception):
    """The predictions of an exported model differ; its files are deleted."""


class ModelLost(KtuneError):
    """A trained model cannot be stored so that another process loads it."""
