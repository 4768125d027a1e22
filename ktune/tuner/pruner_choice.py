"""Which pruner suits the shape of the work: ``pruner="auto"``."""

from ktune.experiment.fit_settings import FitSettings
from ktune.trainers.common import LIGHT_BELOW

FEWEST_FOLDS = 3
"""Below, the worst fold of two says little."""

FEWEST_EPOCHS = 10
"""Below, a curve has hardly begun when it is compared first."""

FOLDS_WITHOUT_POWER = 4
"""With so many folds or fewer, the signed-rank test has p < 0.1 after the last at best:
n folds give no p below 2^-n."""


def choose_pruner(
    n_folds: int, settings: FitSettings, n_parameters: int
) -> tuple[str, str]:
    """Choose between stopping trials by their curve and between folds.

    Args:
        n_folds: Of every trial.
        settings: Of the default configuration.
        n_parameters: Likewise.

    Returns:
        Name of the pruner, and why.

    Example:
        >>> choose_pruner(5, FitSettings(epochs=20), 3_000)[0]
        'median'
        >>> choose_pruner(5, FitSettings(epochs=5, batch_size=128), 200_000)[0]
        'racing'
    """
    if n_parameters * settings.batch_size < LIGHT_BELOW:
        if settings.epochs < FEWEST_EPOCHS:
            return "none", "the model is small and its trials are short"
        return "median", "folds of a small model cost no more together than alone"
    if n_folds >= FEWEST_FOLDS and settings.epochs < n_folds * FEWEST_EPOCHS:
        return "racing", f"a trial can be given up after one of its {n_folds} folds"
    if settings.epochs >= FEWEST_EPOCHS:
        return (
            "median",
            f"a trial can be given up early in its {settings.epochs} epochs",
        )
    return "none", "there are too few folds and epochs to judge a trial earlier"
