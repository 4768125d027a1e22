"""Ensembles as one Keras model: saved, loaded, and compared with their members."""

import itertools

import numpy as np
import pytest

from ktune.data.dataset import Task
from ktune.data.output_scale import OutputScale, output_scale
from ktune.data.targets import as_predictions
from ktune.errors import ExperimentError
from ktune.models.ensembles.blend import LinearStack, Mean
from ktune.models.ensembles.combining import combine

SEEDS = itertools.count(1)
ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def net(outputs, activation, loss, *, rows=ROWS):
    import keras

    keras.utils.set_random_seed(next(SEEDS))
    model = keras.Sequential(
        [
            keras.layers.Input(rows.shape[1:]),
            keras.layers.Dense(4, activation="tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(outputs, activation=activation),
        ]
    )
    model.compile(loss=loss)
    return model


def logits(outputs):
    import keras

    losses = keras.losses
    kind = (
        losses.BinaryCrossentropy
        if outputs == 1
        else (losses.SparseCategoricalCrossentropy)
    )
    return net(outputs, None, kind(from_logits=True))


def probabilities(outputs):
    if outputs == 1:
        return net(1, "sigmoid", "binary_crossentropy")
    return net(outputs, "softmax", "sparse_categorical_crossentropy")


def outside(models, blend, task):
    parts = [
        as_predictions(m.predict_on_batch(ROWS), task, scale=output_scale(m, task, 2))
        for m in models
    ]
    return blend.apply(np.stack(parts))


CASES = {
    "binary": (Task.BINARY, lambda: [probabilities(1), logits(1)]),
    "binary of one and two columns": (
        Task.BINARY,
        lambda: [probabilities(1), probabilities(2)],
    ),
    "binary of two columns": (Task.BINARY, lambda: [logits(2), probabilities(2)]),
    "multiclass": (Task.MULTICLASS, lambda: [probabilities(3), logits(3)]),
    "multilabel": (
        Task.MULTILABEL,
        lambda: [net(3, "sigmoid", "binary_crossentropy") for _ in "ab"],
    ),
    "regression": (Task.REGRESSION, lambda: [net(1, None, "mse"), net(1, None, "mae")]),
}


def blend_of(kind, task):
    if kind == "mean":
        return Mean((0, 1), (0.25, 0.75))
    columns = {Task.MULTICLASS: 3}.get(task, 1)
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(2 * columns, columns)).astype(np.float32)
    return LinearStack((0, 1), kernel, rng.normal(size=columns).astype("f4"), task)


@pytest.mark.parametrize("case", CASES)
def test_one_model_predicts_what_the_members_do_together(case, tmp_path):
    import keras

    task, make = CASES[case]
    models = make()
    for kind in ("mean",) if task is Task.MULTILABEL else ("mean", "stack"):
        blend = blend_of(kind, task)
        expected = outside(models, blend, task)
        combined = combine(models, blend, ROWS, names=["a", "b"], task=task)
        combined.save(tmp_path / "model.keras")
        # Loaded in safe mode: there is no code of ours inside.
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert output_scale(loaded, task, 2) is OutputScale.PROBABILITIES
        found = as_predictions(
            loaded.predict_on_batch(ROWS), task, scale=OutputScale.PROBABILITIES
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_single_member_is_that_member(tmp_path):
    model = probabilities(3)
    expected = model.predict(ROWS, verbose=0)
    combined = combine(
        [model], Mean((4,), (1.0,)), ROWS, names=["a"], task=Task.MULTICLASS
    )
    np.testing.assert_allclose(combined.predict(ROWS, verbose=0), expected, atol=1e-6)


def test_models_whose_outputs_are_no_probabilities_are_refused():
    models = [net(3, None, "sparse_categorical_crossentropy") for _ in "ab"]
    with pytest.raises(ExperimentError, match="softmax or sigmoid"):
        combine(
            models,
            Mean((0, 1), (0.5, 0.5)),
            ROWS,
            names=["a", "b"],
            task=Task.MULTICLASS,
        )


def test_several_inputs_go_to_every_member_by_name():
    import keras

    rows = {"left": ROWS, "right": ROWS[:, :2]}

    def two_inputs():
        inputs = {n: keras.Input(r.shape[1:], name=n) for n, r in rows.items()}
        joined = keras.layers.Concatenate()(list(inputs.values()))
        model = keras.Model(inputs, keras.layers.Dense(1)(joined))
        model.compile(loss="mse")
        return model

    models = [two_inputs(), two_inputs()]
    expected = np.mean([m.predict(rows, verbose=0) for m in models], axis=0)
    combined = combine(
        models, Mean((0, 1), (0.5, 0.5)), rows, names=["a", "b"], task=Task.REGRESSION
    )
    np.testing.assert_allclose(combined.predict(rows, verbose=0), expected, atol=1e-5)
