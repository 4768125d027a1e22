"""Two inputs and two outputs: the department of a ticket, and the hours it takes.

Shows a model with inputs of different kinds (words as token numbers, and numbers of
the customer) and two outputs, whose losses the model weights. The data come as a
``tf.data`` pipeline with a weight for each row, by which newer tickets count more. The
model's own loss and metrics score a trial; the objective is the accuracy of one output.

Expect an accuracy of the department of about 0.8; guessing has a third.

    python -m ktune search experiments/tickets.py
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import ktune

N_WORDS = 60


def tickets(n_tickets: int = 600) -> tf.data.Dataset:
    """Draw tickets; a department has some words of its own."""
    rng = np.random.default_rng(0)
    department = rng.integers(0, 3, n_tickets)
    is_own = rng.random((n_tickets, 12)) < 0.3
    own = department[:, None] * 10 + rng.integers(0, 10, is_own.shape)
    words = np.where(is_own, own, rng.integers(0, N_WORDS, is_own.shape))
    customer = rng.normal(size=(n_tickets, 3)).astype("float32")
    hours = 4 + 2 * department + customer[:, 0] + rng.normal(0, 0.5, n_tickets)
    newness = np.linspace(0.5, 1.5, n_tickets)
    inputs = {"words": words, "customer": customer}
    targets = {"department": department, "hours": hours.astype("float32")}
    rows = tf.data.Dataset.from_tensor_slices((inputs, targets, newness))
    return rows.batch(32).prefetch(1)


def build(hp):
    """Return a model with a mean of word vectors beside the numbers."""
    words = keras.Input((12,), dtype="int32", name="words")
    customer = keras.Input((3,), name="customer")
    vectors = layers.Embedding(N_WORDS, hp.Int("vector", 4, 16, step=4))(words)
    both = layers.Concatenate()([layers.GlobalAveragePooling1D()(vectors), customer])
    hidden = layers.Dense(hp.Int("units", 16, 64, step=16), activation="relu")(both)
    outputs = {
        "department": layers.Dense(3, activation="softmax", name="department")(hidden),
        "hours": layers.Dense(1, name="hours")(hidden),
    }
    model = keras.Model({"words": words, "customer": customer}, outputs)
    rate = hp.Float("learning_rate", 1e-3, 3e-2, sampling="log", default=1e-2)
    model.compile(
        keras.optimizers.Adam(rate),
        loss={"department": "sparse_categorical_crossentropy", "hours": "mae"},
        loss_weights={"department": 1.0, "hours": 0.2},
        metrics={"department": ["accuracy"], "hours": ["mse"]},
    )
    return model


experiment = ktune.Experiment(
    name="tickets",
    data=tickets,
    build=build,
    fit={"batch_size": 32, "epochs": 12},
    objective="department_accuracy",
    cv=3,
    trials=6,
)
