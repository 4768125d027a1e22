"""KerasTuner's `HyperModel` with an overridden ``fit``, called for each epoch.

Such a ``fit(hp, model, *args, **kwargs)`` calls ``model.fit`` with tuned arguments.
ktune trains all folds epoch by epoch, so ``model.fit`` is replaced during the call:
before the trial the replacement only records its arguments, and in the trial it trains
one epoch. The epochs and the batch size become fit settings, and all other arguments
(``shuffle``, ``class_weight``, changed rows …) are passed to Keras unchanged.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import keras_tuner

from ktune.errors import ExperimentError

Fit: TypeAlias = Callable[..., Any]
"""``fit(model, x, y, **kwargs)``: the ``fit`` of a HyperModel with bound ``hp``."""

_SETTINGS = ("epochs", "batch_size")


def own_fit(build: Any) -> Callable[..., Any] | None:
    """Return the overridden ``fit`` of a HyperModel; None if it is not overridden."""
    if not isinstance(build, keras_tuner.HyperModel):
        return None
    if type(build).fit is keras_tuner.HyperModel.fit:
        return None
    fit: Callable[..., Any] = build.fit
    return fit


def settings_asked_for(fit: Fit, model: Any, x: Any, y: Any) -> dict[str, int]:
    """Return the fit settings that a ``fit`` passes to ``model.fit``, without training.

    Args:
        fit: The ``fit`` of the HyperModel with bound ``hp``.
        model: A compiled model.
        x: A row of features.
        y: Its target.

    Raises:
        ExperimentError: ``fit`` does not call ``model.fit`` exactly once.
    """
    calls: list[inspect.BoundArguments] = []

    def note(*args: Any, **kwargs: Any) -> Any:
        calls.append(inspect.signature(type(model).fit).bind(model, *args, **kwargs))
        return _empty_history(model)

    with _replaced_fit(model, note):
        fit(model, x, y, **_extra_arguments(fit, (x, y)))
    if len(calls) != 1:
        raise ExperimentError(
            f"`fit` of the HyperModel called model.fit {len(calls)} times; ktune "
            "advances all folds epoch by epoch and needs it to be called once. Put a "
            "training loop of your own into `train_step` of the model."
        )
    asked = calls[0].arguments
    return {name: asked[name] for name in _SETTINGS if asked.get(name) is not None}


def fit_one_epoch(
    fit: Fit, model: Any, x: Any, y: Any, validation: Any, **settings: Any
) -> dict[str, float]:
    """Train a model for one epoch by the ``fit`` of a HyperModel.

    Args:
        fit: The ``fit`` of the HyperModel with bound ``hp``.
        model: The model to train.
        x: Features.
        y: Targets.
        validation: Features and targets, for a ``fit`` with ``validation_data``.
        **settings: Arguments of Keras's ``fit``; "callbacks" are added to those of
            the HyperModel.

    Returns:
        The logs of the epoch.
    """
    logs: dict[str, float] = {}
    train = model.fit

    def train_one_epoch(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(type(model).fit).bind(model, *args, **kwargs)
        arguments = {k: v for k, v in bound.arguments.items() if k != "self"}
        callbacks = [*(arguments.get("callbacks") or ()), *settings["callbacks"]]
        # ktune sets epochs and validation rows, so that they are equal for all folds.
        size = settings["batch_size"]
        arguments |= {
            "epochs": 1,
            "verbose": 0,
            "validation_data": None,
            "batch_size": size,
        }
        history = train(**{**settings, **arguments, "callbacks": callbacks})
        logs.update({k: float(values[-1]) for k, values in history.history.items()})
        return history

    with _replaced_fit(model, train_one_epoch):
        fit(model, x, y, **_extra_arguments(fit, validation))
    return logs


def _extra_arguments(fit: Fit, validation: Any) -> dict[str, Any]:
    """Return the arguments that `keras_tuner.Tuner.search` would pass to ``fit``."""
    extra: dict[str, Any] = {"callbacks": []}
    if "validation_data" in inspect.signature(fit).parameters:
        extra["validation_data"] = validation
    return extra


@contextlib.contextmanager
def _replaced_fit(model: Any, replacement: Callable[..., Any]) -> Iterator[None]:
    model.fit = replacement
    try:
        yield
    finally:
        del model.fit


def _empty_history(model: Any) -> Any:
    import keras

    history = keras.callbacks.History()
    history.set_model(model)
    history.on_train_begin()
    # A HyperModel may read the last value of a metric from the returned history.
    history.on_epoch_end(0, {"loss": 0.0, "val_loss": 0.0})
    return history
