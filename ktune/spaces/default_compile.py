"""The default training space: optimizer, learning rate and loss by task.

| parameter | values | default |
|---|---|---|
| `optimizer` | adam, adamw, rmsprop, sgd (with Nesterov momentum 0.9) | adam |
| `learning_rate` | 1e-4 … 1e-2, logarithmic (ten times that for sgd) | 1e-3 |
| `learning_rate_schedule` | cosine, none; see the `fit` setting | cosine |
| `label_smoothing` | 0, 0.05; for classes | 0.05 |

A trial that was recorded without one of the last two is repeated without it.
"""

from collections.abc import Mapping
from typing import Any

from ktune.data.dataset import DataDescription, Task
from ktune.errors import ExperimentError
from ktune.spaces.hyperparameters import is_unknown

SCHEDULE = "learning_rate_schedule"

_LOSSES = {
    Task.BINARY: "binary_crossentropy",
    Task.MULTICLASS: "sparse_categorical_crossentropy",
    Task.MULTILABEL: "binary_crossentropy",
    Task.REGRESSION: "mean_squared_error",
}


def compile_by_default(
    model: Any, hp: Any, data: DataDescription, n_columns: int | None
) -> None:
    """Compile a model with a searched optimizer, learning rate and label smoothing.

    Args:
        model: A Keras model that is not compiled yet.
        hp: Gives the parameters.
        data: Description of the data; its task decides the loss.
        n_columns: Columns of its output; None if the model leaves them open.

    Raises:
        ExperimentError: The task is custom, which has no default loss.
    """
    if data.task is Task.CUSTOM:
        raise ExperimentError(
            "`build`: a custom task is scored by the loss and metrics of the model, so "
            "compile it: model.compile(optimizer, loss=…, metrics=[…])"
        )
    name = hp.Choice("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3)
    smoothing = _ask_label_smoothing(hp, data.task)
    loss = _make_loss(data.task, n_columns, smoothing)
    model.compile(optimizer=_make_optimizer(name, rate), loss=loss)


def ask_schedule(hp: Any) -> None:
    """Search the schedule of the learning rate; `scheduled` returns it as settings."""
    if not is_unknown(hp, SCHEDULE):
        hp.Choice(SCHEDULE, ["cosine", "none"], default="cosine")


def scheduled(hp: Any, settings: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the fit settings that `ask_schedule` has added to ``hp``.

    Args:
        hp: With the values of a trial.
        settings: Those of ``fit``, not checked yet; a callback that changes the
            learning rate replaces the schedule.
    """
    callbacks = settings.get("callbacks")
    given = callbacks if isinstance(callbacks, list | tuple) else ()
    if SCHEDULE not in hp.values or any(map(changes_learning_rate, given)):
        return {}
    return {SCHEDULE: hp.values[SCHEDULE]}


def changes_learning_rate(callback: Any) -> bool:
    """Whether a callback is one of Keras that changes the learning rate."""
    import keras

    callbacks = keras.callbacks
    return isinstance(
        callback, callbacks.LearningRateScheduler | callbacks.ReduceLROnPlateau
    )


def _ask_label_smoothing(hp: Any, task: Task) -> float:
    if task not in (Task.BINARY, Task.MULTICLASS) or is_unknown(hp, "label_smoothing"):
        return 0.0
    return float(hp.Choice("label_smoothing", [0.0, 0.05], default=0.05, ordered=True))


def _make_loss(task: Task, n_columns: int | None, smoothing: float) -> Any:
    import keras

    has_classes = task is Task.MULTICLASS or n_columns == 2 and task is Task.BINARY
    if not smoothing:
        return _LOSSES[Task.MULTICLASS if has_classes else task]
    if has_classes:
        return keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    return keras.losses.BinaryCrossentropy(label_smoothing=smoothing)


def _make_optimizer(name: str, rate: float) -> Any:
    import keras

    if name == "sgd":
        return keras.optimizers.SGD(10 * rate, momentum=0.9, nesterov=True)
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
    }
    return kinds[name](rate)
