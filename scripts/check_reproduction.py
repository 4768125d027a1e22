"""Do trials come out bit by bit the same in a fresh process? Search, then try.

    python scripts/check_reproduction.py [--trials 20]

Searches experiments of ``experiments/`` for a few cheap trials by either trainer and
either engine, in a folder of its own, then reproduces trials drawn at random, each in a
process of its own. Prints a line a trial; exit code 1 if any was not identical.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SEARCHES = (
    ("tabular_binary.py", "--trials=4"),
    ("tabular_binary.py", "--trials=3", "--trainer=keras_fit", "--epochs=4"),
    ("regression.py", "--trials=4", "--engine=kerastuner", "--epochs=12"),
    ("regression.py", "--trials=3", "--trainer=keras_fit", "--epochs=4"),
    ("mnist.py", "--trials=4", "--epochs=2", "--sampler=random", "--folds=2"),
    ("mnist.py", "--trials=2", "--epochs=1", "--trainer=keras_fit", "--folds=2"),
)


def main() -> int:
    """Search, reproduce, and count what is not identical."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trials = [trial for words in SEARCHES for trial in search(folder, *words)]
        random.Random(arguments.seed).shuffle(trials)
        chosen = trials[: arguments.trials]
        found = [reproduce(folder, *trial) for trial in chosen]
    print(f"{sum(found)} of {len(found)} identical")
    return 0 if all(found) else 1


def search(folder: str, file: str, *options: str) -> list[tuple[str, str, str]]:
    """Run a search; return run id, what it was, and state of each trial."""
    words = ["search", str(EXPERIMENTS / file), *options, "--json"]
    done = ktune(folder, *words)
    what = " ".join([file, *options])
    print(f"searched {what}", flush=True)
    trials = json.loads(done.stdout)["trials"]
    return [(t["run_id"], f"{what}, trial {t['trial']}", t["state"]) for t in trials]


def reproduce(folder: str, run_id: str, what: str, state: str) -> bool:
    """Reproduce a trial in a process of its own; return whether it is identical."""
    done = ktune(folder, "reproduce", run_id, "--json", may_fail=True)
    told = json.loads(done.stdout)["sameness"] if done.stdout else done.stderr
    print(f"{what} ({state}): {told}", flush=True)
    return bool(told == "identical")


def ktune(
    folder: str, *words: str, may_fail: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command of ktune in a folder."""
    # The sample of 5,000 images is real data enough, and quick.
    environment = {**os.environ, "KTUNE_DATA_DIR": ""}
    return subprocess.run(
        [sys.executable, "-m", "ktune", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=not may_fail,
    )


if __name__ == "__main__":
    raise SystemExit(main())
