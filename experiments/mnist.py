"""MNIST: which architecture, a multilayer perceptron or a convolutional network?

Shows a conditional space. ``architecture`` is a parameter like any other, and only the
parameters of the chosen one are searched: layers and units of the perceptron, blocks,
filters and head of the convolutional network, beside optimizer, learning rate and
batch size.

Expect a convolutional network to win: about 0.97 test accuracy on the 5,000 images that
come with ktune's dependencies, 0.99 on all 70,000 (see ``ktune.data.mnist``).
Perceptrons end near 0.94 and 0.98.

    python -m ktune search experiments/mnist.py
"""

import ktune


def fit(hp):
    """Search the batch size; stop a trial that has not improved for three epochs."""
    return {
        "batch_size": hp.Choice("batch_size", [32, 64, 128], default=64),
        "epochs": 8,
        "early_stopping": 3,
    }


experiment = ktune.Experiment(
    name="mnist",
    data=ktune.data.mnist(),
    build=ktune.spaces.architecture(
        mlp=ktune.spaces.mlp(layers=(1, 3), batch_norm=True),
        cnn=ktune.spaces.cnn(
            blocks=(2, 3), convolutions=1, kernel_size=3, batch_norm=True
        ),
        default="cnn",
    ),
    fit=fit,
    objective="accuracy",
    cv=3,
    sampler="tpe",
    pruner="median",
    trials=12,
    timeout="6m",
)
