"""Rows and recall of each class, from the confusion matrix of a trial."""

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.view import TrialView


def class_counts(view: TrialView) -> np.ndarray:
    """Return the number of validation rows of each class.

    Raises:
        NotApplicable: There is no confusion matrix, as for regression.
    """
    if view.context.task is Task.CUSTOM:
        raise NotApplicable("a custom task has no classes")
    if not view.result.confusion:
        raise NotApplicable("there is no confusion matrix")
    return np.array(view.result.confusion, dtype=np.float64).sum(axis=1)


def recall_by_class(view: TrialView) -> np.ndarray:
    """Return out-of-fold recall of each class, NaN for classes without rows.

    Raises:
        NotApplicable: There is no confusion matrix, as for regression.
    """
    counts = class_counts(view)
    hits = np.diag(np.array(view.result.confusion, dtype=np.float64))
    return np.divide(hits, counts, out=np.full(len(hits), np.nan), where=counts > 0)
