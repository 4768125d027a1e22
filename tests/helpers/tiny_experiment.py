"""The file of a small experiment, which pauses where a test asks for it."""

FILE = """
import os, time
import keras
from keras import layers
import ktune

def build(hp):
    time.sleep(float(os.environ.get("PAUSE", "0")))
    model = keras.Sequential([layers.Input((30,))])
    model.add(layers.Dense(hp.Int("units", 2, 64), activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model

experiment = ktune.Experiment(
    name="tiny", data=ktune.data.breast_cancer(), build=build, cv=2, trials=5,
    sampler="random", pruner="none", fit={"epochs": 2},
)
"""
