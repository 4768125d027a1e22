"""Choose the pruner for ``pruner="auto"``."""

from ktune.experiment.fit_settings import FitSettings
from ktune.trainers.common import LIGHT_BELOW

MIN_FOLDS = 3
"""Minimum number of folds for racing; the worst fold of two is not informative."""

MIN_EPOCHS = 10
"""Minimum number of epochs for pruning by curves; shorter curves predict poorly."""

MAX_POWERLESS_FOLDS = 4
"""Number of folds up to which the signed-rank test cannot stop a trial early.

n folds give no p below 2^-n, so p < 0.1 needs four folds.
"""


def choose_pruner(
    n_folds: int, settings: FitSettings, n_parameters: int
) -> tuple[str, str]:
    """Choose between pruning by learning curves and pruning between folds.

    Args:
        n_folds: Number of folds of a trial.
        settings: Fit settings of the default configuration.
        n_parameters: Number of parameters of its model.

    Returns:
        Name of the pruner, and the reason.

    Example:
        >>> choose_pruner(5, FitSettings(epochs=20), 3_000)[0]
        'median'
        >>> choose_pruner(5, FitSettings(epochs=5, batch_size=128), 200_000)[0]
        'racing'
    """
    if n_parameters * settings.batch_size < LIGHT_BELOW:
        if settings.epochs < MIN_EPOCHS:
            return "none", "the model is small and its trials are short"
        return "median", "all folds of a small model cost as much as one"
    if n_folds >= MIN_FOLDS and settings.epochs < n_folds * MIN_EPOCHS:
        return "racing", f"a trial can be stopped after one of its {n_folds} folds"
    if settings.epochs >= MIN_EPOCHS:
        return (
            "median",
            f"a trial can be stopped early in its {settings.epochs} epochs",
        )
    return "none", "there are too few folds and epochs to stop a trial early"
