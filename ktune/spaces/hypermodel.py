"""KerasTuner's `HyperModel` with a ``fit`` of its own, run one epoch at a time.

Such a ``fit(hp, model, *args, **kwargs)`` ends in ``model.fit``, with arguments it
tunes. ktune advances all folds epoch by epoch, so another function takes the place of
``model.fit`` meanwhile: before the trial it only records the arguments, and in the
trial it trains one epoch. Epochs and batch size become fit settings; everything else
(``shuffle``, ``class_weight``, ``validation_data`` …) goes to Keras unchanged.

ktune scores its own validation rows, unchanged. A ``fit`` that changes rows for both
training and validation is refused: the registered model would not get rows changed so.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras_tuner
import numpy as np

from ktune.errors import ExperimentError
from ktune.spaces.handed_rows import are_taken_from, is_same
from ktune.trial import FIT_VALUE

Fit: TypeAlias = Callable[..., Any]
"""``fit(model, x, y, **kwargs)``: a HyperModel's ``fit``, its ``hp`` filled in."""

_SETTINGS = ("epochs", "batch_size")


@dataclass(frozen=True)
class Rehearsal:
    """Findings of a ``fit`` that was run without training.

    Attributes:
        settings: The fit settings it asks for.
        returns_number: Whether it returns its own score, which KerasTuner minimises.
    """

    settings: Mapping[str, int]
    returns_number: bool


@dataclass(frozen=True)
class FitEpoch:
    """One epoch trained by a ``fit``.

    Attributes:
        logs: Keras's logs of the epoch, of the training rows.
        returned: The scores that ``fit`` returned, by name.
    """

    logs: dict[str, float]
    returned: dict[str, float]


def own_fit(build: Any) -> Callable[..., Any] | None:
    """Return the ``fit`` a HyperModel overrides; None: it has none of its own."""
    if not isinstance(build, keras_tuner.HyperModel):
        return None
    if type(build).fit is keras_tuner.HyperModel.fit:
        return None
    found: Callable[..., Any] = build.fit
    return found


def rehearse(fit: Fit, model: Any, x: Any, y: Any) -> Rehearsal:
    """Run a ``fit`` without training and return its findings.

    Args:
        fit: The HyperModel's, its ``hp`` filled in.
        model: A compiled model.
        x: Rows like those it will get.
        y: Their targets.

    Raises:
        ExperimentError: It does not call ``model.fit`` exactly once, or changes rows.
    """
    calls: list[dict[str, Any]] = []

    def record(*args: Any, **kwargs: Any) -> Any:
        calls.append(_arguments(model, args, kwargs))
        return _empty_history(model)

    with _replaced_fit(model, record):
        result = fit(model, x, y, **_extra_arguments(fit, (x, y)))
    if len(calls) != 1:
        raise ExperimentError(
            f"`fit` of the HyperModel called model.fit {len(calls)} times; ktune "
            "advances all folds epoch by epoch and needs it to be called once. Put a "
            "training loop of your own into `train_step` of the model."
        )
    asked = calls[0]
    _require_same_rows(asked, x, (x, y))
    return Rehearsal(
        {name: asked[name] for name in _SETTINGS if asked.get(name) is not None},
        FIT_VALUE in returned_scores(result),
    )


def fit_one_epoch(
    fit: Fit,
    model: Any,
    x: Any,
    y: Any,
    validation: Any,
    *,
    checks_rows: bool = True,
    **settings: Any,
) -> FitEpoch:
    """Train a model for one epoch by a HyperModel's ``fit``.

    Args:
        fit: The HyperModel's, its ``hp`` filled in.
        model: The model to train.
        x: Features.
        y: Targets.
        validation: Features and targets, for a ``fit`` that names ``validation_data``.
        checks_rows: Whether rows handed to ``model.fit`` are compared with ``x``.
        **settings: For Keras's ``fit``; "callbacks" are added to those given.

    Raises:
        ExperimentError: It changes rows, or their order where rows have weights.
    """
    logs: dict[str, float] = {}
    train = model.fit

    def train_one_epoch(*args: Any, **kwargs: Any) -> Any:
        asked = _arguments(model, args, kwargs)
        if checks_rows:
            _require_same_rows(asked, x, validation)
        callbacks = [*(asked.get("callbacks") or ()), *settings["callbacks"]]
        # ktune sets epochs and batch size, which are the same for all folds.
        size = None if _is_batched(asked.get("x")) else settings["batch_size"]
        asked |= {"epochs": 1, "verbose": 0, "batch_size": size}
        if size is None:  # Keras cannot shuffle batches
            asked["shuffle"] = False
        if settings.get("sample_weight") is not None:
            _require_same_order(asked.get("x"), x)
        history = train(**{**settings, **asked, "callbacks": callbacks})
        of_training = {
            name: values[-1]
            for name, values in history.history.items()
            if not name.startswith("val_")
        }
        logs.update({name: as_number(value) for name, value in of_training.items()})
        return history

    with _replaced_fit(model, train_one_epoch):
        result = fit(model, x, y, **_extra_arguments(fit, validation))
    return FitEpoch(logs, returned_scores(result))


def returned_scores(result: Any) -> dict[str, float]:
    """Return the scores in what a ``fit`` returns, as KerasTuner reads it.

    A number is the score itself; a dict or a History has it under its name; of a list
    the mean counts.

    Example:
        >>> returned_scores([{"val_auc": 0.5}, {"val_auc": 1.0}])
        {'auc': 0.75}
    """
    if isinstance(result, list | tuple):
        parts = [returned_scores(part) for part in result]
        names = set.intersection(*map(set, parts)) if parts else set()
        return {n: float(np.mean([part[n] for part in parts])) for n in sorted(names)}
    if isinstance(result, int | float | np.floating | np.integer):
        return {FIT_VALUE: float(result)}
    if hasattr(result, "history"):  # of one epoch
        result = {name: values[-1] for name, values in result.history.items() if values}
    if not isinstance(result, Mapping):
        return {}
    has_validation = any(str(name).startswith("val_") for name in result)
    return {
        str(name).removeprefix("val_"): as_number(value)
        for name, value in result.items()
        if str(name).startswith("val_") or not has_validation
    }


def as_number(value: Any) -> float:
    """Return a metric as one number: of one value a class, such as F1, the mean."""
    return float(np.mean(np.asarray(value, dtype=np.float64)))


def _arguments(model: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    bound = inspect.signature(type(model).fit).bind(model, *args, **kwargs)
    return {name: v for name, v in bound.arguments.items() if name != "self"}


def _require_same_rows(asked: Mapping[str, Any], x: Any, validation: Any) -> None:
    """Refuse rows that ``fit`` has changed, except for training alone.

    Rows changed for training only, such as augmented ones, leave validation rows as
    they are, which are then handed to ``model.fit`` unchanged.
    """
    if are_taken_from(asked.get("x"), x):
        return
    handed = asked.get("validation_data")
    if isinstance(handed, tuple | list) and are_taken_from(handed[0], validation[0]):
        return
    raise ExperimentError(
        "`fit` of the HyperModel hands changed rows to model.fit. ktune scores and "
        "registers a model that gets rows as they are, so it would be wrong about "
        "them. Change rows in the model (keras.layers.Rescaling, Normalization …) or "
        "in the experiment's `preprocess`. If only training rows are augmented, take "
        "`validation_data` as an argument and hand it to model.fit unchanged."
    )


def _require_same_order(handed: Any, given: Any) -> None:
    if handed is given or is_same(handed, given):
        return
    raise ExperimentError(
        "`fit` of the HyperModel hands rows to model.fit in another form or order than "
        "it gets them, so their weights would go to other rows. Hand `x` on as it is, "
        "or leave weights and `class_weight` to `fit`."
    )


def _is_batched(x: Any) -> bool:
    """Whether the rows come in batches already, so that Keras takes no batch size."""
    return not isinstance(x, Mapping | list | tuple) and not hasattr(x, "shape")


def _extra_arguments(fit: Fit, validation: Any) -> dict[str, Any]:
    """Return the keyword arguments of `keras_tuner.Tuner.search`: always callbacks."""
    extra: dict[str, Any] = {"callbacks": []}
    if "validation_data" in inspect.signature(fit).parameters:
        extra["validation_data"] = validation
    return extra


@contextlib.contextmanager
def _replaced_fit(model: Any, function: Callable[..., Any]) -> Iterator[None]:
    model.fit = function
    try:
        yield
    finally:
        del model.fit


class _AnyMetric(dict[str, list[float]]):
    """Values of an epoch, whatever metric is read."""

    def __missing__(self, name: str) -> list[float]:
        return [0.0]


def _empty_history(model: Any) -> Any:
    import keras

    history = keras.callbacks.History()
    history.set_model(model)
    history.on_train_begin()
    history.on_epoch_end(0, {"loss": 0.0, "val_loss": 0.0})
    # A `fit` may read any metric off the history and return it.
    history.history = _AnyMetric(history.history)
    return history
