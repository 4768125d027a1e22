import os
import pickle

import numpy as np
import pytest

from ktune import spaces
from ktune.data.dataset import DataDescription, Task
from ktune.errors import ExperimentError
from ktune.utils.runtime import import_keras

import_keras()

import keras  # noqa: E402
import keras_tuner  # noqa: E402

from ktune.spaces.augmentation import AUGMENTATIONS  # noqa: E402
from ktune.spaces.hyperparameters import (  # noqa: E402
    ProposingHyperParameters,
    default_values,
    replay,
)

N_SEEDS = 3 if os.environ.get("KTUNE_LONG_TESTS") else 1
N_OUTPUTS = {
    Task.BINARY: 2,
    Task.MULTICLASS: 5,
    Task.MULTILABEL: 3,
    Task.REGRESSION: 1,
}
OUTPUT = {
    Task.BINARY: (1, "sigmoid"),
    Task.MULTICLASS: (5, "softmax"),
    Task.MULTILABEL: (3, "sigmoid"),
    Task.REGRESSION: (1, "linear"),
}
MLP = spaces.mlp(layers=(0, 3), units=(4, 32))
CNN = spaces.cnn(filters=(2, 4), units=(4, 8), augmentation=tuple(AUGMENTATIONS))
RNN = spaces.rnn(units=(2, 8), embedding=(2, 8))
TOKENS = spaces.rnn(units=(2, 8), embedding=(2, 8), vocabulary=20)


def data(shape, task=Task.MULTICLASS):
    return DataDescription("toy", task, shape, N_OUTPUTS[task], 100)


def sampled(seed):
    """An ``hp`` that proposes random values, and records them."""
    random = np.random.default_rng(seed)
    return ProposingHyperParameters(
        lambda parameter: parameter.random_sample(int(random.integers(1, 2**31)))
    )


CASES = [
    (MLP, (6,)),
    (MLP, (8, 8)),
    (MLP, {"left": (3,), "right": (4, 4)}),
    (CNN, (9, 7)),
    (CNN, (9, 7, 3)),
    (RNN, (5, 3)),
    (RNN, (6, 5, 3)),
    (TOKENS, (7,)),
    (spaces.architecture(mlp=MLP, cnn=CNN, rnn=RNN), (8, 8)),
]


@pytest.mark.parametrize("task", N_OUTPUTS)
@pytest.mark.parametrize(("preset", "shape"), CASES, ids=lambda case: str(case)[:12])
def test_every_sampled_configuration_builds_with_the_output_of_the_task(
    preset, shape, task
):
    for seed in range(N_SEEDS):
        model = preset(sampled(seed), data(shape, task))
        units, activation = OUTPUT[task]
        assert not model.compiled
        assert model.output_shape == (None, units)
        assert model.layers[-1].activation.__name__ == activation


@pytest.mark.parametrize(("preset", "shape"), CASES, ids=lambda case: str(case)[:12])
def test_replaying_the_values_builds_the_same_model(preset, shape):
    for seed in range(N_SEEDS):
        hp = sampled(seed)
        model = preset(hp, data(shape))
        again = preset(replay(hp.values), data(shape))
        assert [weight.shape for weight in again.weights] == [
            weight.shape for weight in model.weights
        ]


@pytest.mark.parametrize("seed", range(2 * N_SEEDS))
def test_a_model_predicts_probabilities_for_images_as_they_come(seed):
    model = CNN(sampled(seed), data((9, 7)))
    images = np.random.default_rng(0).random((3, 9, 7)).astype("float32")
    rows = np.asarray(model(images, training=False))
    assert rows.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_augmentation_changes_images_only_while_training():
    values = {"augment": True, "crop": 3, "rotation": 0.1}
    preset = spaces.cnn(augmentation=tuple(AUGMENTATIONS), dropout=0.0)
    model = preset(replay({**values, "batch_norm": False}), data((9, 7)))
    plain = spaces.cnn(dropout=0.0)(replay({"batch_norm": False}), data((9, 7)))
    plain.set_weights(model.get_weights())
    images = np.random.default_rng(0).random((3, 9, 7)).astype("float32")
    predicted = np.asarray(model(images, training=False))
    assert predicted == pytest.approx(np.asarray(plain(images, training=False)))
    assert not np.allclose(np.asarray(model(images, training=True)), predicted)


def test_parameters_of_the_other_architecture_are_neither_asked_nor_recorded():
    space = spaces.architecture(mlp=MLP, cnn=CNN)
    chosen = set()
    for seed in range(8):
        hp = sampled(seed)
        space(hp, data((8, 8)))
        architecture = hp.values["architecture"]
        others = [name for name in hp.values if name != "architecture"]
        assert others
        assert all(name.startswith(f"{architecture}/") for name in others)
        chosen.add(architecture)
    assert chosen == {"mlp", "cnn"}


def test_keras_tuner_finds_every_branch_of_an_architecture():
    space = spaces.architecture(mlp=MLP, cnn=CNN)
    tuner = keras_tuner.RandomSearch(
        lambda hp: _compiled(space(hp, data((8, 8)))), objective="val_loss"
    )
    names = {parameter.name for parameter in tuner.oracle.hyperparameters.space}
    assert {"architecture", "mlp/units", "cnn/filters", "cnn/augment"} <= names
    assert "cnn/rotation" in names


def _compiled(model):
    model.compile(loss="sparse_categorical_crossentropy")
    return model


def test_strengths_of_augmentation_are_asked_only_when_it_is_on():
    names = set(default_values(lambda hp: CNN(hp, data((8, 8)))))
    assert "augment" in names
    assert not names & set(AUGMENTATIONS)


def test_a_single_value_is_neither_asked_nor_recorded():
    preset = spaces.mlp(
        layers=2, units=8, shape="halving", activation="relu", batch_norm=False
    )
    hp = keras_tuner.HyperParameters()
    model = preset(hp, data((6,)))
    assert set(hp.values) == {"dropout"}
    widths = [layer.units for layer in model.layers if hasattr(layer, "units")]
    assert widths == [8, 4, 5]


def test_a_cnn_without_a_dense_layer_has_only_the_output():
    model = spaces.cnn(units=0)(keras_tuner.HyperParameters(), data((8, 8)))
    assert [layer.name for layer in model.layers if hasattr(layer, "units")] == [
        "output"
    ]


def test_defaults_are_those_of_the_tables():
    assert default_values(lambda hp: spaces.mlp()(hp, data((6,)))) == {
        "layers": 3,
        "units": 256,
        "shape": "constant",
        "activation": "mish",
        "batch_norm": False,
        "dropout": 0.15,
    }
    assert default_values(lambda hp: spaces.cnn()(hp, data((8, 8)))) == {
        "blocks": 2,
        "convolutions": 1,
        "filters": 16,
        "kernel_size": 3,
        "pooling": "max",
        "batch_norm": True,
        "head": "flatten",
        "units": 64,
        "dropout": 0.25,
    }
    assert default_values(lambda hp: spaces.rnn()(hp, data((8, 8)))) == {
        "cell": "lstm",
        "layers": 1,
        "units": 64,
        "bidirectional": False,
        "dropout": 0.2,
    }


def test_a_default_outside_the_range_moves_to_the_nearest_end():
    preset = spaces.mlp(layers=(1, 2), units=(8, 70), activation=("relu", "gelu"))
    values = default_values(lambda hp: preset(hp, data((6,))))
    assert (values["layers"], values["units"]) == (2, 64)
    assert values["activation"] == "relu"


@pytest.mark.parametrize(
    "preset",
    [MLP, CNN, RNN, TOKENS, spaces.architecture(mlp=MLP, cnn=CNN, default="cnn")],
    ids=lambda preset: type(preset).__name__,
)
def test_presets_can_be_sent_to_another_process(preset):
    assert pickle.loads(pickle.dumps(preset)) == preset


def test_an_own_function_can_be_one_of_the_architectures():
    def tiny(hp, data):
        inputs = keras.Input(data.input_shape)
        x = keras.layers.Dense(hp.Int("width", 2, 4))(inputs)
        return keras.Model(inputs, keras.layers.Dense(data.n_outputs)(x))

    space = spaces.architecture(tiny=tiny, mlp=MLP)
    hp = keras_tuner.HyperParameters()
    space(hp, data((6,)))
    assert hp.values == {"architecture": "tiny", "tiny/width": 2}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spaces.mlp(unit=3), "no argument 'unit'.*Did you mean 'units'"),
        (lambda: spaces.mlp(units=(64, 32)), r"`units` must be .* got \(64, 32\)"),
        (lambda: spaces.mlp(units=0), "`units` must be a whole number of at least 1"),
        (lambda: spaces.mlp(units=1.5), "`units` must be a whole number"),
        (lambda: spaces.mlp(dropout="a"), "`dropout` must be a number"),
        (lambda: spaces.mlp(activation="rely"), "`activation` must be one of"),
        (lambda: spaces.cnn(units=(0, 8)), r"at least 1, .* got \(0, 8\)"),
        (lambda: spaces.cnn(pooling=()), "`pooling` must be one of"),
        (lambda: spaces.cnn(augmentation=("flp",)), "Did you mean 'flip'"),
        (lambda: spaces.cnn(augmentation="flip"), r"such as \('flip',\)"),
        (lambda: spaces.rnn(vocabulary=0), "`vocabulary`"),
        (spaces.architecture, "name at least one preset"),
        (lambda: spaces.architecture(mlp=3), "'mlp' must be a preset"),
        (lambda: spaces.architecture(mlp=MLP, default="cnn"), "`default` must be"),
    ],
)
def test_wrong_arguments_are_explained_at_once(make, message):
    with pytest.raises(ExperimentError, match=message):
        make()


@pytest.mark.parametrize(
    ("preset", "shape", "message"),
    [
        (CNN, (6,), "cnn needs images .* has shape"),
        (CNN, {"a": (8, 8), "b": (2,)}, "cnn takes one input, but toy has 2: a, b"),
        (RNN, (6,), r"rnn\(vocabulary=…\)"),
        (RNN, (2, 2, 2, 2), "rnn needs sequences"),
    ],
)
def test_data_a_preset_cannot_take_are_explained(preset, shape, message):
    with pytest.raises(ExperimentError, match=message):
        preset(keras_tuner.HyperParameters(), data(shape))
