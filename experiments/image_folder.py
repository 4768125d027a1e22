"""Pictures in class folders, 150 × 150 in colour: the "cats and dogs" of the textbooks.

Shows ``ktune.data.image_folder``, and a model that scales and augments by itself
(``preprocess=None`` hands it the bytes as they are, a quarter of the memory). Name your
own folder in KTUNE_IMAGES, or make one of real digits that a package ships, threes and
eights, not always easy to tell apart:

    python scripts/make_image_folder.py pictures
    KTUNE_IMAGES=pictures python -m ktune search experiments/image_folder.py

Expect about 0.96 accuracy over the folds of these 400 pictures; an epoch takes tens of
seconds on two cores, for three convolution blocks at this size are work.
"""

import os

import keras
from keras import layers

import ktune

FOLDER = os.environ.get("KTUNE_IMAGES", "pictures")
SIZE = 150


def build(hp):
    """Return augmentation, three blocks of 32–64–128 filters, 512 units, one output."""
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Rescaling(1 / 255)])
    if hp.Boolean("augment", default=False):
        model.add(layers.RandomRotation(hp.Float("rotation", 0.0, 0.1, default=0.05)))
        model.add(layers.RandomZoom(hp.Float("zoom", 0.0, 0.2, default=0.1)))
    for filters in (32, 64, 128):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.25, default=0.5)))
    model.add(layers.Dense(hp.Choice("units", [128, 512], default=512), "relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    rate = hp.Float("learning_rate", 1e-4, 1e-3, sampling="log", default=5e-4)
    model.compile(keras.optimizers.RMSprop(rate), loss="binary_crossentropy")
    return model


experiment = ktune.Experiment(
    name="image_folder",
    data=ktune.data.image_folder(FOLDER, size=SIZE, on_corrupt="skip"),
    build=build,
    preprocess=None,
    fit={"batch_size": 32, "epochs": 5, "early_stopping": 2},
    objective="accuracy",
    cv=2,
    trials=4,
    timeout="10m",
)
