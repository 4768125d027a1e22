"""The default training space: optimizer, learning rate and loss by task.

| parameter | values | default |
|---|---|---|
| `optimizer` | adam, adamw, rmsprop, sgd (with Nesterov momentum 0.9) | adam |
| `learning_rate` | 1e-4 … 1e-2, logarithmic (ten times that for sgd) | 1e-3 |
"""

from typing import Any

from ktune.data.dataset import DataDescription, Task
from ktune.errors import ExperimentError

_LOSSES = {
    Task.BINARY: "binary_crossentropy",
    Task.MULTICLASS: "sparse_categorical_crossentropy",
    Task.MULTILABEL: "binary_crossentropy",
    Task.REGRESSION: "mean_squared_error",
}


def compile_by_default(
    model: Any, hp: Any, data: DataDescription, n_columns: int | None
) -> None:
    """Compile a model with a searched optimizer and learning rate.

    Args:
        model: A Keras model that is not compiled yet.
        hp: Gives ``optimizer`` and ``learning_rate``.
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
    loss = _LOSSES[data.task]
    if data.task is Task.BINARY and n_columns == 2:
        loss = _LOSSES[Task.MULTICLASS]
    model.compile(optimizer=_make_optimizer(name, rate), loss=loss)


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
