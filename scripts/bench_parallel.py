"""Measure what more processes bring, and what handing a trial over costs.

Two parts:

* ``speed``: equal trials of each workload of ``bench_search.py``, in one process with
  one thread, in one with all of them, and in two with half of them each. All workers
  are warm: each has run a trial before. Printed are the seconds of all trials together
  and how many times as fast two processes are as the better of the single ones.
* ``overhead``: trials that do nothing but report one score, proposed by Optuna's random
  sampler and evaluated here, in two processes and on Ray, and the same trials by Ray
  Tune's own random search (``pip install "ray[tune]"``), two at a time. Printed are
  milliseconds a trial, without what it takes to start Ray and the workers.

Figures of one run compare; those of two runs on a busy machine do not.

Usage::

    python scripts/bench_parallel.py [speed] [overhead] [--workloads mlp] [--trials 16]
"""

import argparse
import importlib.util
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_search import WORKLOADS, Race

from ktune.executors import connected, make_executor
from ktune.executors.processes import ProcessesExecutor
from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import Goal
from ktune.protocols import Executor, Work
from ktune.searchers import make_searcher
from ktune.testing.executors import run_trials
from ktune.trial import EpochReport, TrialResult, TrialState
from ktune.tuner.loop import SearchLoop
from ktune.utils.runtime import import_keras

CORES = os.cpu_count() or 1
SETTINGS = {
    "1 process, 1 thread": (1, 1),
    f"1 process, {CORES} threads": (1, CORES),
    f"2 processes, {max(1, CORES // 2)} threads each": (2, max(1, CORES // 2)),
}
"""Name to the number of processes and of threads each."""

N_WARM_UP = 1000
"""Number of the first trial that is not timed."""


def measure_speed(name: str, n_trials: int) -> dict[str, float]:
    """Return how long the trials of a workload take, in seconds, by setting."""
    found = {}
    for setting, (n_processes, n_threads) in SETTINGS.items():
        work = _train(name)
        executor = ProcessesExecutor(work, n_processes, threads=n_threads)
        run_trials(executor, *range(N_WARM_UP, N_WARM_UP + n_processes))
        begin = time.perf_counter()
        run_trials(executor, *range(n_trials))
        found[setting] = time.perf_counter() - begin
        executor.close()
        print(f"  {name}, {setting}: {found[setting]:.1f} s", flush=True)
    *single, double = found.values()
    found["times as fast"] = min(single) / double
    print(f"{name}: {found['times as fast']:.2f} times as fast by 2 processes")
    return found


def _train(name: str) -> Work:
    race = Race(WORKLOADS[name], "auto", does_vary=False)

    def evaluate(trial: Any, report: Any) -> TrialResult:
        _, score = race.run("ktune", trial.number)
        return TrialResult(TrialState.COMPLETE, score=score)

    return Work(evaluate)


def measure_overhead(n_trials: int) -> dict[str, float]:
    """Return the milliseconds of an empty trial for each executor."""
    found: dict[str, float] = {}
    with connected(_experiment(executor="ray")):
        for way, fields in {
            "serial": {},
            "processes": {"jobs": 2},
            "ray": {"executor": "ray", "jobs": 2},
        }.items():
            experiment = _experiment(**fields)
            executor = make_executor(experiment, Work(_do_nothing))
            run_trials(executor, 0, 1)
            found[way] = _search(experiment, executor, n_trials)
        if importlib.util.find_spec("tensorboardX"):
            found["Ray Tune"] = _tune(n_trials)
        else:
            print('Ray Tune is not installed: pip install "ray[tune]"')
    for way, milliseconds in found.items():
        print(f"  {way}: {milliseconds:.2f} ms a trial", flush=True)
    return found


def _experiment(**fields: Any) -> Experiment:
    return Experiment(
        name="nothing",
        data=([[0.0]], [0]),
        build=_declare,
        sampler="random",
        pruner="none",
        **fields,
    )


def _declare(hp: Any) -> None:
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 8, 128)


def _score(rate: float, units: int) -> float:
    return rate * units


def _do_nothing(trial: Any, report: Any) -> TrialResult:
    values = trial.values or {"rate": 1.0, "units": 1}
    score = _score(values["rate"], values["units"])
    report(EpochReport(trial.number, 0, 1, score))
    return TrialResult(TrialState.COMPLETE, score=score)


def _search(experiment: Experiment, executor: Executor, n_trials: int) -> float:
    goal = Goal((make_objective("accuracy"),))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.log")
        searcher = make_searcher(experiment, _declare, goal=goal, path=path)
        loop = SearchLoop(
            searcher,
            executor,
            track=lambda trial, result: None,
            listener=Listener(),
            trials=n_trials,
        )
        begin = time.perf_counter()
        loop.run()
        return (time.perf_counter() - begin) / n_trials * 1000


def _tune(n_trials: int) -> float:
    """Run Ray Tune, as quiet as it can be, two trials at a time."""
    from ray import tune

    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    space = {"rate": tune.loguniform(1e-4, 1e-1), "units": tune.randint(8, 129)}

    def run(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            tuner = tune.Tuner(
                lambda config: {"score": _score(**config)},
                param_space=space,
                tune_config=tune.TuneConfig(
                    num_samples=count,
                    max_concurrent_trials=2,
                    metric="score",
                    mode="max",
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            )
            begin = time.perf_counter()
            tuner.fit()
            return (time.perf_counter() - begin) / count * 1000

    run(2)
    return run(n_trials)


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help="speed or overhead; both")
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS))
    parser.add_argument("--trials", type=int, default=16, help="of each setting")
    parser.add_argument("--no-op-trials", type=int, default=200)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    import_keras()
    parts = options.parts or ["speed", "overhead"]
    found: dict[str, Any] = {}
    if "overhead" in parts:
        found["overhead"] = measure_overhead(options.no_op_trials)
    if "speed" in parts:
        found["speed"] = {
            name: measure_speed(name, options.trials) for name in options.workloads
        }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
