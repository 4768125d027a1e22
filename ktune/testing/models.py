"""Small Keras models with preprocessing on real rows, registered without a search.

For tests that need registered models: weights are random, not trained, but every layer
has an effect (batch norms have random statistics).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.dataset import Inputs, Kind, Task, take_rows
from ktune.data.preprocessing import FittedPreprocessing, fit_preprocessing
from ktune.evaluation.refit import Refit, predict
from ktune.models.registry.packaged_model import PackagedModel


@dataclass(frozen=True, eq=False)
class TinyModel:
    """A model with rows it can predict.

    Attributes:
        package: The model as it is registered.
        rows: Raw rows.
        y: Their targets.
    """

    package: PackagedModel
    rows: Inputs
    y: np.ndarray

    def predict(self, rows: Inputs) -> np.ndarray:
        """Return the model's outputs for raw rows."""
        fitted = self.package.fitted
        return predict(fitted.model, fitted.preprocessing, rows)


def mlp() -> TinyModel:
    """30 named numbers, two classes."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)

    def build(width: int) -> list[Any]:
        from keras import layers

        return [
            layers.Dense(8, activation="gelu"),
            layers.Dense(1, activation="sigmoid"),
        ]

    return _tiny(bunch.data, bunch.target.to_numpy(), Kind.TABULAR, build)


def cnn() -> TinyModel:
    """Images of 8×8, ten classes; with augmentation, dropout and batch norm."""
    from sklearn.datasets import load_digits

    images = (load_digits().images * 15).astype(np.uint8)

    def build(width: int) -> list[Any]:
        from keras import layers

        return [
            layers.Reshape((8, 8, 1)),
            layers.RandomRotation(0.2),
            layers.RandomTranslation(0.2, 0.2),
            layers.RandomContrast(0.5, value_range=(0.0, 1.0)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.4),
            layers.Dense(8, activation="gelu"),
            layers.Dense(10, activation="softmax"),
        ]

    return _tiny(images, load_digits().target, Kind.IMAGE, build)


def lstm() -> TinyModel:
    """The same images read line by line, standardised."""
    from sklearn.datasets import load_digits

    lines = load_digits().images.astype(np.float32)

    def build(width: int) -> list[Any]:
        from keras import layers

        return [
            layers.LSTM(6, return_sequences=True),
            layers.Bidirectional(layers.GRU(4)),
            layers.Dense(10, activation="softmax"),
        ]

    return _tiny(lines, load_digits().target, Kind.SEQUENCE, build)


def categories() -> TinyModel:
    """Numbers and categories with missing values, three classes."""
    rng = np.random.default_rng(5)
    n = 240
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n).astype(float),
            "job": rng.choice(["nurse", "cook", "driver"], n),
            "income": rng.lognormal(10, 1, n),
            "town": rng.choice(["Kyiv", "Ghent"], n),
        }
    )
    table.loc[::9, "income"] = np.nan
    table["town"] = table["town"].astype(object).where(np.arange(n) % 7 > 0, None)

    def build(width: int) -> list[Any]:
        from keras import layers

        return [
            layers.Dense(8, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]

    return _tiny(table, rng.integers(0, 3, n), Kind.TABULAR, build)


TINY_MODELS: Mapping[str, Callable[[], TinyModel]] = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "categories": categories,
}


def _tiny(
    x: Inputs, y: np.ndarray, kind: Kind, build: Callable[[int], list[Any]]
) -> TinyModel:
    import keras

    keras.utils.set_random_seed(3)
    preprocessing = fit_preprocessing("auto", x, y, np.arange(len(y)), kind)
    model = _model(preprocessing, x, build)
    n_classes = len(np.unique(y))
    return TinyModel(
        PackagedModel(
            fitted=Refit(
                model, preprocessing, epochs=0, seconds=0.0, latency_ms=0.0, test={}
            ),
            example=take_rows(x, np.arange(5)),
            task=Task.BINARY if n_classes == 2 else Task.MULTICLASS,
            class_names=tuple(f"class {k}" for k in range(n_classes)),
        ),
        rows=x,
        y=y,
    )


def _model(
    preprocessing: FittedPreprocessing, x: Inputs, build: Callable[[int], list[Any]]
) -> Any:
    import keras

    shape = np.asarray(preprocessing.transform(take_rows(x, np.arange(2)))).shape[1:]
    model = keras.Sequential([keras.layers.Input(shape), *build(shape[-1])])
    rng = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            weights = layer.get_weights()
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in weights])
    model.compile(loss="binary_crossentropy")
    return model
