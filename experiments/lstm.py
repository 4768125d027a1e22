"""A digit read line by line: a recurrent network on sequences of different lengths.

Shows a data function, the source for sequences and the preset ``ktune.spaces.rnn``. An
image becomes the sequence of its lines with ink, about 20 of them, 28 numbers each;
shorter ones are padded in front.

Expect about 0.94 test accuracy; the same 5,000 images give a convolutional network
0.97, which sees the lines beside each other.

    python -m ktune search experiments/lstm.py
"""

import ktune

N_IMAGES = 5000


def lines_of_digits():
    """Return the first images of MNIST as sequences of lines."""
    digits = ktune.data.mnist().load()
    lines = [image[image.any(axis=1)] / 255.0 for image in digits.x[:N_IMAGES]]
    return ktune.data.sequence(lines, digits.y[:N_IMAGES], name="lines of digits")


experiment = ktune.Experiment(
    name="lstm",
    data=lines_of_digits,
    build=ktune.spaces.rnn(units=(32, 96), layers=1),
    fit={"batch_size": 64, "epochs": 10, "early_stopping": 3},
    objective="accuracy",
    cv=3,
    trials=6,
    timeout="8m",
)
