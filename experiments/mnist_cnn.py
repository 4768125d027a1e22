"""MNIST by the convolutional network of the textbooks: two convolutions and a pooling.

Shows a small space around a net that is known to be good: trial 0 is 32 and 64 filters,
dropout 0.25 and 0.5, 128 units, trained by Adam.

Expect 0.96 to 0.97 test accuracy on the 5,000 images that come with ktune's
dependencies, and at least 0.98 on all 70,000, with one trial of two epochs already:

    python -m ktune search experiments/mnist_cnn.py
    export KTUNE_DATA_DIR=/folder/of/mnist.npz
    python -m ktune search experiments/mnist_cnn.py --trials 1 --folds 2 --epochs 2
"""

import keras
from keras import layers

import ktune


def build(hp):
    """Return convolutions, pooling, dropout, a dense layer, dropout, ten digits."""
    model = keras.Sequential(
        [
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(hp.Choice("filters", [16, 32], default=32), 3),
            layers.ReLU(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.25, default=0.25)),
            layers.Flatten(),
            layers.Dense(hp.Choice("units", [64, 128], default=128), activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rate = hp.Float("learning_rate", 3e-4, 3e-3, sampling="log", default=1e-3)
    optimizers = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    optimizer = optimizers[hp.Choice("optimizer", list(optimizers))]
    model.compile(optimizer(rate), loss="sparse_categorical_crossentropy")
    return model


experiment = ktune.Experiment(
    name="mnist_cnn",
    data=ktune.data.mnist(),
    build=build,
    fit={"batch_size": 128, "epochs": 8, "early_stopping": 2},
    objective="accuracy",
    cv=3,
    trials=6,
    timeout="8m",
)
