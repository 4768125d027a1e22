"""Measure what stopping trials early saves, and whether it costs quality.

On each of three data sets (breast cancer, digits, wine), over several seeds, one search
is run with each pruner: the same folds, the same first trials, the same sampler.
Printed for each pruner: medians over seeds of the fold-epochs trained (one fold for one
epoch) and of the wall time, as shares of the search without pruning; means over seeds
of the difference of the best cross-validated score and of the refitted model's test
accuracy to the search without pruning; in how many searches the best score is within
noise, that is one standard error (over folds), of the best one without pruning; and the
fold-epochs until it was, as a median share of all of the search without pruning (whose
own line tells how much of its work came after it had as good as found its best).

Usage::

    python scripts/bench_pruning.py [--trials 40] [--seeds 5] [--pruners median racing]
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ktune.evaluation.evaluate
from ktune.data import load_data
from ktune.data.folds import split
from ktune.evaluation.context import SearchContext, make_context
from ktune.evaluation.evaluate import evaluate_trial
from ktune.evaluation.refit import refit
from ktune.executors.serial import SerialExecutor
from ktune.experiment.choices import PRUNERS
from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.searchers import make_searcher
from ktune.trial import Trial, TrialResult
from ktune.tuner.loop import SearchLoop
from ktune.utils.runtime import import_keras

DATA = ("breast_cancer", "digits", "wine")
EPOCHS, N_FOLDS = 20, 5


@dataclass(frozen=True)
class Outcome:
    """What one search has cost and found.

    Attributes:
        fold_epochs: Epochs trained, summed over folds and trials.
        seconds: Wall time of all trials.
        score: Best cross-validated accuracy.
        error: Its standard error over folds.
        test: Accuracy of the refitted best model on the untouched test rows.
        n_stopped: Trials that were stopped early.
        path: For every complete trial the fold-epochs until its end, and its score.
    """

    fold_epochs: int
    seconds: float
    score: float
    error: float
    test: float
    n_stopped: int
    path: list[tuple[int, float]]

    def reached(self, score: float) -> float:
        """Return the fold-epochs until a trial had this score; inf: none had."""
        return next((spent for spent, found in self.path if found >= score), math.inf)


class Meter:
    """Counts the fold-epochs of all trainers that are chosen while it is installed."""

    def __init__(self) -> None:
        self.fold_epochs = 0
        self._choose = ktune.evaluation.evaluate.choose_trainer

    def __enter__(self) -> "Meter":
        ktune.evaluation.evaluate.choose_trainer = self._choose_counted
        return self

    def __exit__(self, *_: Any) -> None:
        ktune.evaluation.evaluate.choose_trainer = self._choose

    def _choose_counted(self, name: str, task: Any) -> Any:
        trainer = self._choose(name, task)
        start = trainer.start

        def start_counted(task: Any) -> Any:
            training = start(task)
            run_epoch = training.run_epoch

            def run_counted() -> Any:
                self.fold_epochs += len(task.folds)
                return run_epoch()

            training.run_epoch = run_counted
            return training

        trainer.start = start_counted
        return trainer


def load(name: str) -> Any:
    """Return a data set of scikit-learn's."""
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(return_X_y=True)


def build(hp: Any, data: Any) -> Any:
    """Return a dense network; two of three values decide whether it learns at all."""
    import keras

    model = keras.Sequential([keras.Input(data.input_shape)])
    model.add(keras.layers.Dense(hp.Choice("units", [16, 64]), activation="relu"))
    model.add(keras.layers.Dropout(hp.Choice("dropout", [0.0, 0.3])))
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    is_binary = data.n_outputs == 2
    model.add(
        keras.layers.Dense(
            1 if is_binary else data.n_outputs,
            activation="sigmoid" if is_binary else "softmax",
        )
    )
    loss = "binary_crossentropy" if is_binary else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss)
    return model


def search(name: str, pruner: str, seed: int, n_trials: int) -> Outcome:
    """Run one search, without MLflow."""
    experiment = Experiment(
        name=name,
        data=load(name),
        build=build,
        fit={"epochs": EPOCHS, "early_stopping": False},
        cv=N_FOLDS,
        pruner=pruner,
        sampler="tpe",
        seed=seed,
        trials=n_trials,
    )
    dataset = load_data(experiment.data, name=name, task=None)
    partition = split(dataset, cv=N_FOLDS, test_size=0.25, seed=seed)
    context = make_context(experiment, dataset, partition)
    results: list[tuple[Trial, TrialResult, int]] = []
    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        begin = time.perf_counter()
        _run(
            context,
            Path(folder, "study.log"),
            lambda *ended: results.append((*ended, meter.fold_epochs)),
        )
        seconds = time.perf_counter() - begin
    return _outcome(context, results, meter.fold_epochs, seconds)


def _run(
    context: SearchContext, path: Path, track: Callable[[Trial, TrialResult], None]
) -> None:
    searcher = make_searcher(
        context.experiment, context.builder.declare, goal=context.goal, path=path
    )
    SearchLoop(
        searcher,
        SerialExecutor(lambda trial, report: evaluate_trial(context, trial, report)),
        track=track,
        listener=Listener(),
        trials=context.experiment.trials,
    ).run()


def _outcome(
    context: SearchContext,
    results: Sequence[tuple[Trial, TrialResult, int]],
    fold_epochs: int,
    seconds: float,
) -> Outcome:
    complete = [ended for ended in results if ended[1].is_complete]
    trial, best, _ = max(complete, key=lambda ended: ended[1].score or 0.0)
    scores = [fold.validation["accuracy"] for fold in best.folds]
    fitted = refit(context, trial, epochs=(best.best_epoch or 0) + 1)
    return Outcome(
        fold_epochs=fold_epochs,
        seconds=seconds,
        score=best.score or 0.0,
        error=float(np.std(scores, ddof=1) / np.sqrt(len(scores))),
        test=fitted.test["accuracy"].value,
        n_stopped=len(results) - len(complete),
        path=[(spent, result.score or 0.0) for _, result, spent in complete],
    )


def tell(name: str, found: dict[str, list[Outcome]]) -> None:
    """Print the lines of one data set."""
    reference = found["none"]
    for pruner, outcomes in found.items():
        pairs = list(zip(outcomes, reference, strict=True))
        share = statistics.median(o.fold_epochs / r.fold_epochs for o, r in pairs)
        wall = statistics.median(o.seconds / r.seconds for o, r in pairs)
        score = statistics.mean(o.score - r.score for o, r in pairs)
        test = statistics.mean(o.test - r.test for o, r in pairs)
        as_good = sum(o.score >= r.score - r.error for o, r in pairs)
        reached = statistics.median(
            o.reached(r.score - r.error) / r.fold_epochs for o, r in pairs
        )
        stopped = statistics.mean(o.n_stopped for o in outcomes)
        print(
            f"| {name} | {pruner} | {stopped:.1f} | {share:.0%} | {wall:.0%} | "
            f"{score:+.4f} | {test:+.4f} | {as_good} of {len(pairs)} | {reached:.0%} |",
            flush=True,
        )


def main() -> None:
    """Read the command line, run the searches and print what they show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument(
        "--pruners", nargs="+", choices=PRUNERS, default=["median", "racing", "asha"]
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    import_keras()
    everything = {}
    print(
        "| data | pruner | trials stopped | fold-epochs | wall time | best score | "
        "test score | best within noise | fold-epochs until then |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for name in options.data:
        found: dict[str, list[Outcome]] = {p: [] for p in ["none", *options.pruners]}
        for pruner in ("none", "racing"):  # so that no search pays for compiling
            search(name, pruner, options.seeds, 6)
        for seed in range(options.seeds):
            for pruner, outcomes in found.items():
                outcomes.append(search(name, pruner, seed, options.trials))
        tell(name, found)
        everything[name] = {p: [asdict(o) for o in all_] for p, all_ in found.items()}
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
