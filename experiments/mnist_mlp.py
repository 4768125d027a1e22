"""MNIST by a multilayer perceptron: the 784–256–128–10 of the textbooks, and around it.

Shows a builder from a textbook with its numbers turned into a space. Trial 0 is the
textbook's net as it stands: plain SGD at 0.01, no dropout, categorical loss (one-hot
targets; ktune codes them as the loss wants).

Expect the textbook's values to reach about 0.83 over the folds of the 5,000 images that
come with ktune's dependencies in twelve epochs, and the search about 0.94, on the test
rows as well: a larger learning rate and momentum do most of it.

    python -m ktune search experiments/mnist_mlp.py
"""

import keras
from keras import layers

import ktune


def build(hp):
    """Return two hidden layers between 784 pixels and 10 digits."""
    dropout = hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0)
    model = keras.Sequential([layers.Flatten()])
    for name, units in (("units_1", 256), ("units_2", 128)):
        width = hp.Choice(name, [64, 128, 256, 512], default=units, ordered=True)
        model.add(layers.Dense(width, activation="relu"))
        model.add(layers.Dropout(dropout))
    model.add(layers.Dense(10, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-3, 0.3, sampling="log", default=0.01)
    momentum = hp.Choice("momentum", [0.0, 0.9], default=0.0)
    model.compile(
        keras.optimizers.SGD(rate, momentum=momentum), loss="categorical_crossentropy"
    )
    return model


experiment = ktune.Experiment(
    name="mnist_mlp",
    data=ktune.data.mnist(),
    build=build,
    fit=lambda hp: {
        "batch_size": hp.Choice("batch_size", [32, 64, 128], default=128),
        "epochs": 12,
        "early_stopping": 3,
    },
    objective="accuracy",
    cv=3,
    trials=12,
    timeout="6m",
)
