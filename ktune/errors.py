"""The errors ktune raises, by who can do something about them."""


class KtuneError(Exception):
    """A mistake the user can correct: the message says what, where and how.

    The command line prints it as one message without a traceback and exits with 2.
    """


class ExperimentError(KtuneError):
    """An experiment file, a field of an experiment or an option is wrong."""


class DataError(KtuneError):
    """The data cannot be read, or cannot be learned from as they are."""


class SpaceError(KtuneError):
    """A hyperparameter is declared in a way no engine can honour."""


class StoreError(KtuneError):
    """The MLflow store or the study cannot be read or written."""


class ServerUnavailable(StoreError):
    """The MLflow server does not answer; what is asked for can be had later."""


class UnknownReference(KtuneError):
    """A RUN, SEARCH or MODEL named by the user does not exist or is ambiguous."""


class ExportError(KtuneError):
    """A model cannot be written in a format, or not where or how it was asked for."""


class SearchAborted(KtuneError):
    """A search stopped because going on could not have helped."""


class TrialFailed(Exception):
    """One trial cannot be judged; the search goes on without it.

    Args:
        message: Why; the same for all trials that fail alike.
        details: What is different in each.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class ConstraintViolated(TrialFailed):
    """A trial's model is larger or slower than asked for, so it is not trained."""


class OutOfMemory(TrialFailed):
    """A trial's training takes more memory than there is."""


class WorkerDied(TrialFailed):
    """A process that worked on a trial is gone."""


class ExportRefused(Exception):
    """A written model does not say what the registered one says; nothing is kept."""
