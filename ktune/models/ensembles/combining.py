"""Combine the members of an ensemble in one Keras model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktune.data.dataset import Inputs, Task
from ktune.data.output_scale import OutputScale, output_scale
from ktune.data.targets import as_predictions
from ktune.errors import ExperimentError
from ktune.evaluation.refit import PREDICT_BATCH
from ktune.models.ensembles.blend import Blend

_MAX_DIFFERENCE = 1e-4
"""Maximum difference of the combined model from its members combined outside Keras."""


def combine(
    models: Sequence[Any],
    blend: Blend,
    rows: Inputs,
    *,
    names: Sequence[str],
    task: Task,
) -> Any:
    """Return one compiled Keras model that combines the members.

    Args:
        models: The members, in the order of ``blend.members``.
        blend: Combines the predictions.
        rows: Some preprocessed rows for a check of the result.
        names: One unique name per member.
        task: The task.

    Raises:
        ExperimentError: Keras cannot combine these models, or the combined model
            predicts something else than its members.
    """
    import keras

    inputs = _inputs(rows)
    try:
        for model, name in zip(models, names, strict=True):
            model.name = name  # layers of a model must not share a name
            _forget_training(model)
        outputs = [_as_predictions(model, model(inputs), task) for model in models]
        combined = keras.Model(inputs, blend.layers(_alike(outputs)), name="ensemble")
    except (ValueError, TypeError) as error:
        raise ExperimentError(
            f"the models of this search cannot be combined in one Keras model: {error}"
        ) from error
    combined.compile(optimizer="sgd", loss=_loss(combined, task))
    _check(combined, models, blend, rows, task)
    return combined


def _forget_training(model: Any) -> None:
    """Remove a member's optimizer, whose moments would be saved with the ensemble."""
    model.optimizer = None
    model.compiled = False


def _inputs(rows: Inputs) -> Any:
    """Return input tensors for rows of this form."""
    import keras

    def tensor(part: np.ndarray, name: str | None = None) -> Any:
        return keras.Input(part.shape[1:], dtype=part.dtype.name, name=name)

    if isinstance(rows, Mapping):
        return {name: tensor(part, name) for name, part in rows.items()}
    return tensor(np.asarray(rows))


def _as_predictions(model: Any, output: Any, task: Task) -> Any:
    """Return a model's output converted to probabilities."""
    from keras import layers

    scale = _scale(model, int(output.shape[-1]), task)
    if scale is OutputScale.SCORES:
        return layers.Rescaling(0.5, offset=0.5, name=f"{model.name}_share")(output)
    if scale is not OutputScale.LOGITS:
        return output
    is_exclusive = task.is_classification and output.shape[-1] > 1
    activation = "softmax" if is_exclusive else "sigmoid"
    return layers.Activation(activation, name=f"{model.name}_{activation}")(output)


def _scale(model: Any, columns: int, task: Task) -> OutputScale:
    return output_scale(
        model, task, max(columns, 2) if task is Task.BINARY else columns
    )


def _alike(outputs: list[Any]) -> list[Any]:
    """Return outputs of two classes with equal numbers of columns."""
    from keras import layers

    widths = {output.shape[-1] for output in outputs}
    if widths != {1, 2}:
        return outputs

    def both(output: Any) -> Any:
        if output.shape[-1] == 2:
            return output
        other = layers.Rescaling(-1.0, offset=1.0)(output)
        return layers.Concatenate()([other, output])

    return [both(output) for output in outputs]


def _loss(model: Any, task: Task) -> str:
    if task is Task.REGRESSION:
        return "mean_squared_error"
    is_exclusive = task.is_classification and model.output_shape[-1] > 1
    return "sparse_categorical_crossentropy" if is_exclusive else "binary_crossentropy"


def _check(
    combined: Any, models: Sequence[Any], blend: Blend, rows: Inputs, task: Task
) -> None:
    """Compare with the members' predictions combined outside Keras."""

    def predictions(model: Any) -> np.ndarray:
        outputs = model.predict(rows, batch_size=PREDICT_BATCH, verbose=0)
        return as_predictions(
            outputs, task, scale=_scale(model, outputs.shape[-1], task)
        )

    expected = blend.apply(np.stack([predictions(model) for model in models]))
    furthest = float(np.max(np.abs(predictions(combined) - expected)))
    scale = max(1.0, float(np.max(np.abs(expected))))
    if not furthest <= _MAX_DIFFERENCE * scale:
        raise ExperimentError(
            "the models of this search cannot be combined in one Keras model: its "
            f"predictions differ from those of its members by {furthest:.2g}. Do all "
            "models end in softmax or sigmoid, or in logits with from_logits=True?"
        )
