"""Refit a recorded trial with its decision threshold."""

import io

import numpy as np

from ktune.evaluation.context import SearchContext
from ktune.evaluation.refit import Refit, refit
from ktune.metrics.threshold import Threshold, tune_threshold
from ktune.tracking import names
from ktune.tracking.artifacts import read_file
from ktune.tracking.store import Store
from ktune.trial import Trial


def refit_recorded(
    store: Store, context: SearchContext, trial: Trial, run_id: str, *, epochs: int
) -> Refit:
    """Refit a trial on all rows except the test rows, and test it.

    Args:
        store: The store of the trial.
        context: The context of its search.
        trial: The trial.
        run_id: MLflow run of the trial.
        epochs: Number of epochs.

    Raises:
        RefitFailed: Training diverges, or takes more memory than is free.
    """
    threshold = threshold_of_trial(store, context, run_id)
    return refit(context, trial, epochs=epochs, threshold=threshold)


def threshold_of_trial(
    store: Store, context: SearchContext, trial_run_id: str
) -> Threshold | None:
    """Return the decision threshold of a trial, or None.

    Args:
        store: The store of the trial.
        context: The context of its search.
        trial_run_id: Run of the trial, whose out-of-fold predictions tune it.
    """
    wanted = context.experiment.threshold
    if not isinstance(wanted, str):
        return None if wanted is None else Threshold(wanted)
    content = read_file(store, trial_run_id, names.OUT_OF_FOLD_FILE)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return tune_threshold(
            arrays["target"], arrays["prediction"], context.objective.metric
        )
