"""What ktune adds to a trial: everything but training, over thousands of trials.

Trials of a model that is not trained are asked for, evaluated, recorded in MLflow and
told, in a folder that is thrown away. The same trials are written by hand in between,
by Optuna on SQLite and MLflow's fluent functions; read the ratio, not the seconds.

    python scripts/bench_overhead.py --trials 5000
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

BLOCK = 100
BY_HAND = 5
"""Trials written by hand after every block of ktune's."""

EPOCHS = 3

STORE = "sqlite:///mlruns/mlflow.db"
"""Of ktune; the loop by hand writes to a store of its own."""


def build(hp: Any) -> Any:
    """Return a model that knows its accuracy."""
    from no_training import ScoredModel

    units = hp.Int("units", 1, 1000)
    rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Choice("activation", ["relu", "tanh"])
    return ScoredModel(0.6 + 0.3 * units / 1000 - rate)


class Stopwatch:
    """Times one trial after another: by the clock, and by what the process computed.

    The latter counts no waiting for disks, and is less disturbed by other processes.
    """

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.start()

    def start(self) -> None:
        """A trial begins."""
        self._started = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """It is over."""
        wall, cpu = self._started
        self.wall.append(1000 * (time.perf_counter() - wall))
        self.cpu.append(1000 * (time.process_time() - cpu))

    def part(self, chosen: slice) -> "Stopwatch":
        """Return some of the trials."""
        found = Stopwatch()
        found.wall, found.cpu = self.wall[chosen], self.cpu[chosen]
        return found

    def __str__(self) -> str:
        """Medians in milliseconds."""
        wall, cpu = statistics.median(self.wall), statistics.median(self.cpu)
        return f"{wall:6.1f} ms a trial, {cpu:6.1f} ms of it computing"

    def over(self, other: "Stopwatch") -> str:
        """Return how many times as long as others these trials take."""
        wall = statistics.median(self.wall) / statistics.median(other.wall)
        cpu = statistics.median(self.cpu) / statistics.median(other.cpu)
        return f"{wall:.2f}, computing {cpu:.2f}"


class ByHand:
    """The loop a careful person writes: Optuna on SQLite, a nested MLflow run a trial.

    Args:
        folder: Where both databases go.
    """

    def __init__(self, folder: str) -> None:
        import mlflow
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._mlflow = mlflow
        mlflow.set_tracking_uri(f"sqlite:///{folder}/by_hand.db")
        mlflow.set_experiment("by hand")
        self._study = optuna.create_study(
            storage=f"sqlite:///{folder}/study.db",
            sampler=optuna.samplers.RandomSampler(seed=0),
            direction="maximize",
        )
        self.watch = Stopwatch()

    def run(self, points: dict[str, float]) -> None:
        """Write some trials with the metrics a trial of ktune has."""
        with self._mlflow.start_run():
            for _ in range(BY_HAND):
                self.watch.start()
                self._run_one(points)
                self.watch.stop()

    def _run_one(self, points: dict[str, float]) -> None:
        trial = self._study.ask()
        trial.suggest_int("units", 1, 1000)
        trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        trial.suggest_categorical("activation", ["relu", "tanh"])
        curves = {n: v for n, v in points.items() if n.startswith("epoch_")}
        others = {n: v for n, v in points.items() if n not in curves}
        with self._mlflow.start_run(nested=True, run_name=f"trial {trial.number}"):
            self._mlflow.log_params(trial.params)
            for epoch in range(EPOCHS):
                self._mlflow.log_metrics(curves, step=epoch)
                trial.report(0.5, epoch)
            self._mlflow.log_metrics(others)
        self._study.tell(trial, 0.5)


def make_listener(by_hand: ByHand) -> Any:
    """Return a listener that times ktune's trials and has others written between."""
    from ktune.listener import Listener
    from ktune.tracking.records import trial_record

    class Timer(Listener):
        def __init__(self) -> None:
            self.watch = Stopwatch()
            self.megabytes: list[float] = []

        def on_search_start(self, *given: Any) -> None:
            self.watch.start()

        def on_trial_end(self, trial: Any, result: Any) -> None:
            self.watch.stop()
            if len(self.watch.wall) % BLOCK == 0:
                self.megabytes.append(resident_megabytes())
                record = trial_record(trial, result)
                by_hand.run({point.key: point.value for point in record.metrics})
            self.watch.start()

    return Timer()


def resident_megabytes() -> float:
    """Return how much memory this process holds (Linux)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def search(trials: int, sampler: str, listener: Any, **given: Any) -> Any:
    """Search without training."""
    from no_training import without_training

    import ktune

    x = np.random.default_rng(0).normal(size=(200, 5))
    experiment = ktune.Experiment(
        name="overhead",
        data=(x, np.arange(200) % 2),
        build=build,
        cv=3,
        fit={"epochs": EPOCHS, "early_stopping": False},
        sampler=sampler,
        trials=trials,
    )
    with without_training():
        return ktune.search(experiment, tracking_uri=STORE, listener=listener, **given)


def seconds_of(*words: str) -> float:
    """Return how long a command of ktune takes, start-up included."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "ktune", *words, "--tracking-uri", STORE]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--sampler", default="random")
    arguments = parser.parse_args()
    trials = arguments.trials
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        by_hand = ByHand(folder)
        timer = make_listener(by_hand)
        result = search(trials, arguments.sampler, timer)
        again = make_listener(by_hand)
        search(trials + BLOCK, arguments.sampler, again, resume=result.run_id)
        # The first of all are slower: imports, compiled queries, cold caches.
        first, last = (
            timer.watch.part(slice(10, BLOCK)),
            timer.watch.part(slice(-BLOCK, None)),
        )
        resumed = again.watch.part(slice(10, None))
        # What the machine itself was worth at these times.
        hand = by_hand.watch
        hand_first, hand_last, hand_resumed = (
            hand.part(slice(0, 5 * BY_HAND)),
            hand.part(slice(-6 * BY_HAND, -BY_HAND)),
            hand.part(slice(-BY_HAND, None)),
        )
        print(f"{trials} trials, sampler {arguments.sampler}")
        print(f"first hundred   {first}")
        print(f"last hundred    {last}")
        print(f"after resuming  {resumed}")
        print(f"by hand         {hand}")
        print(f"ktune / by hand {timer.watch.over(hand)}")
        print(f"last / first    {last.over(first)}")
        print(f"     by hand    {hand_last.over(hand_first)}")
        print(f"resumed / first {resumed.over(first)}")
        print(f"     by hand    {hand_resumed.over(hand_first)}")
        sizes = ", ".join(
            f"{size:.0f}" for size in timer.megabytes[:: max(1, trials // 1000)]
        )
        print(f"memory in MiB: {sizes}")
        empty = seconds_of("runs")
        listed = seconds_of("runs", result.run_id[:8])
        print(f"ktune runs: {empty:.1f} s; of these trials: {listed:.1f} s")


if __name__ == "__main__":
    main()
