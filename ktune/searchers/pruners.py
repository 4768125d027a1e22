"""Pruners: Optuna's, configured for epochs, and fold racing."""

from collections.abc import Callable, Mapping

import optuna
from optuna.pruners import BasePruner, NopPruner

from ktune.searchers.racing import RacingPruner
from ktune.searchers.study import quiet

STARTUP_TRIALS = 5
"""Number of complete trials before pruning starts."""

WARMUP_EPOCHS = 3
"""Epochs without pruning, as the first epochs predict the last one poorly."""


def make_pruner(name: str, epochs: int | None = None) -> BasePruner:
    """Return a pruner.

    Args:
        name: One of `choices.PRUNERS`. "auto" is resolved earlier, and means no
            pruning here.
        epochs: Maximum number of epochs; None: that of the first trial.
    """
    with quiet():
        return _FACTORIES[name](epochs)


def _median(epochs: int | None) -> BasePruner:
    return optuna.pruners.MedianPruner(
        n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS, n_min_trials=3
    )


def _percentile(epochs: int | None) -> BasePruner:
    return optuna.pruners.PercentilePruner(
        25.0,
        n_startup_trials=STARTUP_TRIALS,
        n_warmup_steps=WARMUP_EPOCHS,
        n_min_trials=3,
    )


def _asha(epochs: int | None) -> BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=WARMUP_EPOCHS, reduction_factor=3
    )


def _hyperband(epochs: int | None) -> BasePruner:
    most: int | str = epochs if epochs is not None else "auto"
    least = min(WARMUP_EPOCHS, epochs or WARMUP_EPOCHS)
    return optuna.pruners.HyperbandPruner(
        min_resource=least,
        max_resource=most,
        reduction_factor=3,
    )


def _racing(rule: str) -> Callable[[int | None], BasePruner]:
    return lambda epochs: RacingPruner(rule)


def _none(epochs: int | None) -> BasePruner:
    return NopPruner()


_FACTORIES: Mapping[str, Callable[[int | None], BasePruner]] = {
    "none": _none,
    "median": _median,
    "percentile": _percentile,
    "asha": _asha,
    "hyperband": _hyperband,
    "racing": _racing("forgiving"),
    "racing:aggressive": _racing("aggressive"),
    "racing:wilcoxon": _racing("wilcoxon"),
    "wilcoxon": _racing("wilcoxon"),
    "auto": _none,
}
