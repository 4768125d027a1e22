"""Load, split and train on a large csv file, and say how much memory it took.

    python scripts/bench_large_csv.py --rows 1000000 --columns 50 --limit 8

Ends with exit code 1 if the limit (GiB) is passed.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> int:
    """Write the file, search with one trial, and compare the peak with the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50, help="with the target")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=8.0, help="GiB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.csv")
        write(path, arguments.rows, arguments.columns)
        print(f"{path.stat().st_size / 2**30:.2f} GiB of csv, {peak():.2f} GiB so far")
        search(path, arguments.folds)
    print(f"peak memory: {peak():.2f} GiB, limit {arguments.limit:.2f} GiB")
    return 0 if peak() <= arguments.limit else 1


def write(path: Path, n_rows: int, n_columns: int) -> None:
    """Write rows of random numbers and a class that depends on three of them."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join([*(f"x{i}" for i in range(n_columns - 1)), "label"]) + "\n")
        for start in range(0, n_rows, 10_000):
            size = min(10_000, n_rows - start)
            x = rng.normal(size=(size, n_columns - 1))
            label = x[:, 0] + x[:, 1] * x[:, 2] > 0
            rows = np.column_stack([x, label])
            np.savetxt(
                file, rows, fmt=["%.9g"] * (n_columns - 1) + ["%d"], delimiter=","
            )


def search(path: Path, n_folds: int) -> None:
    """Search with a single trial of one epoch, saying when and how large it is."""
    import ktune
    from ktune.listener import Listener

    started = time.perf_counter()

    class Listener(Listener):
        def on_phase(self, text: str) -> None:
            seconds = time.perf_counter() - started
            print(f"{seconds:7.1f} s {peak():6.2f} GiB  {text}", flush=True)

        on_note = on_phase

    result = ktune.search(
        ktune.Experiment(
            name="large",
            data=ktune.data.csv(path, target="label"),
            build=ktune.spaces.mlp(layers=1, units=64),
            fit={"batch_size": 4096, "epochs": 1},
            cv=n_folds,
            trials=1,
        ),
        tracking_uri=f"sqlite:///{path.parent}/mlflow.db",
        listener=Listener(),
    )
    print(f"test accuracy {result.test['accuracy'].value:.3f}")


def peak() -> float:
    """Return the largest resident memory of this process so far, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform != "darwin" else peak / 2**30


if __name__ == "__main__":
    sys.exit(main())
