"""The learning rate over the epochs of a trial, by the fit setting of that name.

The rate that a model is compiled with is multiplied by a factor for each epoch. The
schedule ends at the trial's number of epochs, also in a refit, which stops at the best
epoch: it repeats the rates that were judged.

Source:
    Loshchilov, Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017,
    without restarts.
"""

import math
from typing import Any

from ktune.errors import ExperimentError
from ktune.experiment.fit_settings import FitSettings
from ktune.spaces.default_compile import changes_learning_rate


def rate_factor(settings: FitSettings, epoch: int) -> float:
    """Return the factor of the learning rate in an epoch, counted from 0.

    Example:
        >>> settings = FitSettings(epochs=4, learning_rate_schedule="cosine")
        >>> [round(rate_factor(settings, epoch), 2) for epoch in range(4)]
        [1.0, 0.85, 0.5, 0.15]
    """
    if settings.learning_rate_schedule is None:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))


def require_one_schedule(settings: FitSettings, model: Any) -> None:
    """Refuse a schedule beside another one.

    Args:
        settings: The fit settings of the trial.
        model: The compiled model.

    Raises:
        ExperimentError: The optimizer or a callback has a schedule too.
    """
    if settings.learning_rate_schedule is None:
        return
    other = _other_schedule(settings, model)
    if other is not None:
        raise ExperimentError(
            f"`fit` setting 'learning_rate_schedule' is "
            f"{settings.learning_rate_schedule!r}, and {other} changes the learning "
            "rate too. Keep one of them."
        )


def _other_schedule(settings: FitSettings, model: Any) -> str | None:
    import keras

    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    rate = getattr(optimizer, "_learning_rate", None)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return f"{type(rate).__name__} of the optimizer"
    found = filter(changes_learning_rate, settings.callbacks)
    return next((f"callback {type(one).__name__}" for one in found), None)
