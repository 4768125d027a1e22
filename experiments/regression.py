"""Diabetes: how far will the disease have progressed in a year? 442 patients.

Shows a regression, and a preset as part of a model of one's own. Ten measurements tell
no more than half of it, and a net soon learns the patients by heart.

Expect an R² of 0.4 to 0.5 and an RMSE near 55 on a scale of 25 to 346, no better than
ridge regression: a lesson, too.

    python -m ktune search experiments/regression.py
"""

import keras

import ktune

preset = ktune.spaces.mlp(layers=(1, 3), units=(32, 256), batch_norm=False)


def build(hp, data):
    """Return the preset, with an output that starts where the targets are."""
    net = preset(hp, data)
    # Targets are 150 ± 80, far from 0 ± 1 where a fresh net starts; left to find
    # the way by itself, it needs a hundred epochs at small learning rates.
    output = keras.layers.Rescaling(80.0, offset=150.0)(net.output)
    model = keras.Model(net.input, output)
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3)
    model.compile(keras.optimizers.Adam(rate), loss="mean_squared_error")
    return model


experiment = ktune.Experiment(
    name="diabetes",
    data=ktune.data.diabetes(),
    build=build,
    fit={"batch_size": 32, "epochs": 40, "early_stopping": 8},
    objective="rmse",
    trials=15,
)
