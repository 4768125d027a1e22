"""KerasTuner's `HyperModel` with a ``fit`` of its own, taken one epoch at a time.

Such a ``fit(hp, model, *args, **kwargs)`` ends in ``model.fit``, with arguments it
tunes. ktune advances all folds epoch by epoch, so while it runs ``model.fit`` stands
for something else: before the trial it only notes what it was asked for, and in the
trial it trains one epoch. Epochs and batch size it asks for become fit settings, and
everything else (``shuffle``, ``class_weight``, changed rows …) goes to Keras unchanged.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import keras_tuner

from ktune.errors import ExperimentError

Fit: TypeAlias = Callable[..., Any]
"""``fit(model, x, y, **kwargs)``: a HyperModel's ``fit``, its ``hp`` filled in."""

_SETTINGS = ("epochs", "batch_size")


def own_fit(build: Any) -> Callable[..., Any] | None:
    """Return the ``fit`` a HyperModel overrides; None: it has none of its own."""
    if not isinstance(build, keras_tuner.HyperModel):
        return None
    if type(build).fit is keras_tuner.HyperModel.fit:
        return None
    found: Callable[..., Any] = build.fit
    return found


def settings_asked_for(fit: Fit, model: Any, x: Any, y: Any) -> dict[str, int]:
    """Return the fit settings a ``fit`` asks for, without training.

    Args:
        fit: The HyperModel's, its ``hp`` filled in.
        model: A compiled model.
        x: A row of features like those it will get.
        y: Its target.

    Raises:
        ExperimentError: It does not call ``model.fit`` exactly once.
    """
    calls: list[inspect.BoundArguments] = []

    def note(*args: Any, **kwargs: Any) -> Any:
        calls.append(inspect.signature(type(model).fit).bind(model, *args, **kwargs))
        return _empty_history(model)

    with _standing_for_fit(model, note):
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
    """Train a model for one epoch by a HyperModel's ``fit``.

    Args:
        fit: The HyperModel's, its ``hp`` filled in.
        model: The model to train.
        x: Features.
        y: Targets.
        validation: Features and targets, for a ``fit`` that names ``validation_data``.
        **settings: For Keras's ``fit``; "callbacks" are added to those given.

    Returns:
        Keras's logs of the epoch.
    """
    logs: dict[str, float] = {}
    train = model.fit

    def train_one_epoch(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(type(model).fit).bind(model, *args, **kwargs)
        asked = {k: v for k, v in given.arguments.items() if k != "self"}
        callbacks = [*(asked.get("callbacks") or ()), *settings["callbacks"]]
        # What ktune decides, it decides for all folds: epochs, and what is scored.
        size = settings["batch_size"]
        asked |= {
            "epochs": 1,
            "verbose": 0,
            "validation_data": None,
            "batch_size": size,
        }
        history = train(**{**settings, **asked, "callbacks": callbacks})
        logs.update({k: float(values[-1]) for k, values in history.history.items()})
        return history

    with _standing_for_fit(model, train_one_epoch):
        fit(model, x, y, **_extra_arguments(fit, validation))
    return logs


def _extra_arguments(fit: Fit, validation: Any) -> dict[str, Any]:
    """Return what `keras_tuner.Tuner.search` would hand on: always callbacks."""
    extra: dict[str, Any] = {"callbacks": []}
    if "validation_data" in inspect.signature(fit).parameters:
        extra["validation_data"] = validation
    return extra


@contextlib.contextmanager
def _standing_for_fit(model: Any, stand_in: Callable[..., Any]) -> Iterator[None]:
    model.fit = stand_in
    try:
        yield
    finally:
        del model.fit


def _empty_history(model: Any) -> Any:
    import keras

    history = keras.callbacks.History()
    history.set_model(model)
    history.on_train_begin()
    # Some read the last value of a metric off what they return.
    history.on_epoch_end(0, {"loss": 0.0, "val_loss": 0.0})
    return history
