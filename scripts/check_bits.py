"""Does a trial have the same bits however it is run, also on a busy machine?

    python scripts/check_bits.py [--minutes 5] [--load 2] [--cases table,images]

Trains the same small trials again and again, in fresh processes that come and go while
others burn CPU: all folds together or each alone, in this process, in one worker or in
two that share the trials or the folds, and in a process that is killed and continued by
another one. Compares weights, curves and scores bit for bit with the first run.

Prints a line for each case and way: the number of trials, of those that differ from
the same number of threads, and of those that differ from the other number. Exit code 1
if any trial with the same number of threads differs. The operations that depend on
the number of threads are those of `scripts/check_operations.py`.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CASES = ("table", "wide", "images", "sequences", "fit")
N_TRIALS = 3
N_REPEATS = 8  # of all trials in one process, whose start takes longer than they do
N_FOLDS = 2
ALL = os.cpu_count() or 1

WAYS = {
    "together": ALL,
    "together, one thread": 1,
    "folds alone": ALL,
    "folds alone, one thread": 1,
    "killed and continued": ALL,
    "one worker": ALL,
    "two workers": 1,
    "folds shared by two": 1,
}
"""Every way and the number of threads of the processes that train."""

BURN = "while True: sum(range(10_000))"


def main() -> int:
    """Run the ways in an order drawn at random until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--load", type=int, default=2, help="processes that burn CPU")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_child(*arguments.child)
        return 0
    comparison = Comparison()
    end = time.monotonic() + 60 * arguments.minutes
    pairs = [(case, way) for case in arguments.cases.split(",") for way in WAYS]
    moments = random.Random(arguments.seed)
    with burning(arguments.load), contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < end:
            for case, way in moments.sample(pairs, len(pairs)):
                if time.monotonic() < end:
                    for trial in run(case, way, moments):
                        comparison.add(case, way, trial)
    return comparison.show()


@contextlib.contextmanager
def burning(count: int) -> Iterator[None]:
    """Keep the machine busy."""
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


class Comparison:
    """The bits of every trial, compared with its first ones by as many threads."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._counts: dict[tuple[str, str], Counter[str]] = {}

    def add(self, case: str, way: str, trial: dict[str, Any]) -> None:
        """Compare a trial, and say at once if it differs."""
        threads, number = WAYS[way], trial["number"]
        counts = self._counts.setdefault((case, way), Counter())
        counts["trials"] += 1
        first = self._first.setdefault((case, threads, number), trial)
        if difference := differ(first, trial):
            counts["different"] += 1
            print(f"{case}, {way}, trial {number}: {difference}", flush=True)
        for other in {1, ALL} - {threads}:
            elsewhere = self._first.get((case, other, number))
            counts["other"] += bool(elsewhere and differ(elsewhere, trial))

    def show(self) -> int:
        """Print all counts; return 1 if any trial differed."""
        for (case, way), counts in sorted(self._counts.items()):
            print(
                f"{case:10} {way:24} {counts['trials']:5} trials, "
                f"{counts['different']:4} differ, "
                f"{counts['other']:4} differ from the other number of threads"
            )
        return int(any(counts["different"] for counts in self._counts.values()))


def differ(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Return how two runs of a trial differ; "" if no bit does."""
    pairs = zip(first["numbers"], second["numbers"], strict=True)
    unequal = [
        (name, abs(a - b) / max(abs(a), 1e-12)) for (name, a), (_, b) in pairs if a != b
    ]
    if unequal:
        name, _ = unequal[0]
        largest = max(amount for _, amount in unequal)
        return f"{len(unequal)} numbers, first {name}, at most {largest:.1e}"
    if first["weights"] and second["weights"] and first["weights"] != second["weights"]:
        return "only the weights"
    return ""


def run(case: str, way: str, moments: random.Random) -> list[dict[str, Any]]:
    """Run all trials in a fresh process, or in two of which the first is killed."""
    order = moments.sample([*range(N_TRIALS)] * N_REPEATS, N_TRIALS * N_REPEATS)
    if way != "killed and continued":
        return read(start(case, way, order), len(order))
    n_finished = moments.randrange(1, len(order))
    process = start(case, way, order)
    done = read(process, n_finished, seconds=moments.uniform(0, 0.3))
    return done + read(start(case, way, order[n_finished:]), len(order) - n_finished)


def start(case: str, way: str, order: list[int]) -> subprocess.Popen[str]:
    """Start a process that prints a line of JSON for each trial."""
    words = [__file__, "--child", case, way, json.dumps(order)]
    return subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)


def read(
    process: subprocess.Popen[str], count: int, seconds: float = 0.0
) -> list[dict[str, Any]]:
    """Read a number of trials, and end the process."""
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(count)]
        time.sleep(seconds)
        process.kill()
    return [json.loads(line) for line in lines]


def run_child(case: str, way: str, order: str) -> None:
    """Run the trials in this process, or in workers of it."""
    from ktune.utils.runtime import import_keras, set_threads

    import_keras()
    if "one thread" in way:
        set_threads(1)
    context, trials = make_case(case)
    chosen = [trials[number] for number in json.loads(order)]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if "worker" in way or "shared" in way:
            run_in_workers(context, chosen, way)
        for trial in chosen if not ("worker" in way or "shared" in way) else ():
            say(trial.number, *train_here(context, trial, alone="alone" in way))


def say(number: int, curves: Any, weights: list[str]) -> None:
    """Print the bits of a trial."""
    numbers = [
        (f"{name}[{fold}][{epoch}]", value)
        for name, folds in sorted(curves.items())
        for fold, values in enumerate(folds)
        for epoch, value in enumerate(values)
    ]
    answer = {"number": number, "numbers": numbers, "weights": weights}
    print(json.dumps(answer), flush=True)


def run_in_workers(context: Any, trials: list[Any], way: str) -> None:
    """Run trials in one worker, in two, or one at a time with its folds in both."""
    from ktune.evaluation.evaluate import work_with
    from ktune.executors.processes import ProcessesExecutor

    n_workers = 1 if way == "one worker" else 2
    executor = ProcessesExecutor(work_with(context), n_workers, threads=WAYS[way])
    at_once = 1 if "shared" in way else len(trials)
    for first in range(0, len(trials), at_once):
        part = trials[first : first + at_once]
        for trial in part:
            executor.submit(trial)
        for _ in part:
            trial, result = executor.wait(lambda _: True)
            assert result.is_complete, result.failure
            say(trial.number, result.curves, [])
    executor.close()


def train_here(context: Any, trial: Any, *, alone: bool) -> tuple[Any, list[str]]:
    """Train a trial; return its curves, and a digest of the weights of each fold."""
    from ktune.evaluation.evaluate import _new_history
    from ktune.evaluation.shared_training import part_of
    from ktune.evaluation.training_task import task_of_trial
    from ktune.trainers import choose_trainer
    from ktune.utils.runtime import set_determinism

    set_determinism(True)
    task = task_of_trial(context, trial)
    n_parts = N_FOLDS if alone else 1
    parts = [part_of(task, part, n_parts) for part in range(n_parts)]
    trainings = [choose_trainer("auto", part).start(part) for part in parts]
    history = _new_history(context, task, N_FOLDS)
    for _ in range(task.settings.epochs):
        history.add([fold for t in trainings for fold in t.run_epoch()])
    weights = [
        digest(training.model(index))
        for training, part in zip(trainings, parts, strict=True)
        for index in range(len(part.folds))
    ]
    return history.curves(), weights


def digest(model: Any) -> str:
    """Return a digest of all weights."""
    content = b"".join(weight.tobytes() for weight in model.get_weights())
    return hashlib.sha256(content).hexdigest()[:12]


def make_case(case: str) -> tuple[Any, list[Any]]:
    """Return the context of a case and its trials."""
    import numpy as np

    import ktune
    from ktune.data import load_data
    from ktune.data.folds import split
    from ktune.evaluation.context import make_context
    from ktune.spaces.hyperparameters import default_values
    from ktune.trial import Trial

    rng = np.random.default_rng(0)
    table = ktune.data.breast_cancer()
    wide = rng.normal(size=(1500, 200)).astype("float32"), rng.integers(0, 3, 1500)
    images = rng.random((600, 14, 14), np.float32), rng.integers(0, 4, 600)
    words = rng.integers(0, 200, (400, 20)), rng.integers(0, 2, 400)
    data, build = {
        "table": (table, dense),
        "wide": (wide, ktune.spaces.mlp()),
        "images": (images, ktune.spaces.cnn()),
        "sequences": (words, ktune.spaces.rnn(vocabulary=200)),
        "fit": (table, dense),
    }[case]
    fit = {"batch_size": 64, "epochs": 3, "early_stopping": False}
    experiment = ktune.Experiment(
        name="bits",
        data=data,
        build=build,
        fit=fit,
        cv=N_FOLDS,
        trainer="keras_fit" if case == "fit" else "auto",
    )
    dataset = load_data(experiment.data, name="bits", task=None)
    partition = split(dataset, cv=N_FOLDS, test_size=0.2, seed=0)
    context = make_context(experiment, dataset, partition)
    values = default_values(context.builder.declare)
    changed = [{}, {"units": 7}, {"units": 21}] if build is dense else [{}] * N_TRIALS
    return context, [
        Trial(number, {**values, **changed[number]}, seed=number + 1)
        for number in range(N_TRIALS)
    ]


def dense(hp: Any) -> Any:
    """Build a small network, as `tests/executors/test_same_everywhere.py` does."""
    import keras

    model = keras.Sequential()
    model.add(keras.layers.Dense(hp.Int("units", 4, 32), activation="relu"))
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model


if __name__ == "__main__":
    # By its name, so that workers can import it.
    sys.path.insert(0, str(Path(__file__).parent))
    import check_bits

    sys.exit(check_bits.main())
