"""Segmentation: which pixels of a noisy picture belong to a disc? Drawn by NumPy.

Shows a custom task: the targets are masks, one array for each picture, and the loss and
the metrics that the model is compiled with score a trial. The objective is one of them,
the intersection over union. ``ktune predict shapes FILE -o masks.npz`` writes masks.

Expect an intersection over union above 0.9 after eight epochs; the best constant guess,
no disc anywhere, has 0. A search takes one to two minutes.

    python -m ktune search experiments/shapes.py
"""

import keras
import numpy as np
from keras import layers

import ktune

SIZE = 24


def pictures(n_pictures: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Draw discs at random places, with noise; return the pictures and their masks."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    centers = rng.uniform(6, SIZE - 6, (2, n_pictures, 1, 1))
    radius = rng.uniform(3, 7, (n_pictures, 1, 1))
    distance = np.hypot(rows - centers[0], columns - centers[1])
    masks = (distance < radius).astype("uint8")[..., None]
    noise = rng.normal(0, 0.4, masks.shape)
    return (masks + noise).astype("float32"), masks


def build(hp):
    """Return a small fully convolutional network."""
    filters = hp.Int("filters", 4, 16, step=4)
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1))])
    for _ in range(hp.Int("blocks", 1, 3, default=2)):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
    model.add(layers.Conv2D(1, 1, activation="sigmoid"))
    rate = hp.Float("learning_rate", 1e-3, 3e-2, sampling="log", default=1e-2)
    overlap = keras.metrics.BinaryIoU(target_class_ids=[1], name="io_u")
    model.compile(
        keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=[overlap]
    )
    return model


experiment = ktune.Experiment(
    name="shapes",
    data=pictures,
    build=build,
    fit={"batch_size": 16, "epochs": 8},
    objective="io_u",
    preprocess=None,
    cv=3,
    trials=6,
)
