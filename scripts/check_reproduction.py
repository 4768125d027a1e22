"""Do trials come out bit by bit the same in a fresh process? Search, then try.

    python scripts/check_reproduction.py [--trials 20]

Searches experiments of ``experiments/`` for a few cheap trials by either trainer and
either engine, in a folder of its own, then reproduces the trials of each search in a
fresh process, in an order drawn at random. Prints a line a trial; exit code 1 if any is
not identical.
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
    ("mnist.py", "--trials=3", "--epochs=1", "--jobs=2", "--folds=2"),
    ("tabular_binary.py", "--trials=4"),
    ("tabular_binary.py", "--trials=3", "--trainer=keras_fit", "--epochs=3"),
    ("regression.py", "--trials=4", "--engine=kerastuner", "--epochs=10"),
    ("regression.py", "--trials=3", "--trainer=keras_fit", "--epochs=3"),
    ("mnist.py", "--trials=3", "--epochs=2", "--sampler=random", "--folds=2"),
    ("mnist.py", "--trials=2", "--epochs=1", "--trainer=keras_fit", "--folds=2"),
)
REPRODUCE = """
import json, sys
from ktune.utils.runtime import import_keras
import_keras()
import ktune
for run_id in sys.argv[1:]:
    print(json.dumps([run_id, ktune.reproduce(run_id).sameness]), flush=True)
"""


def main() -> int:
    """Search, reproduce, and count what is not identical."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    n_identical, n_left = 0, arguments.trials
    with tempfile.TemporaryDirectory() as folder:
        for words in SEARCHES:
            trials = search(folder, *words)
            drawn = random.Random(arguments.seed).sample(sorted(trials), len(trials))
            found = reproduce(folder, drawn[:n_left])
            n_left -= len(found)
            n_identical += sum(result == "identical" for result in found.values())
            for run_id, result in found.items():
                print(f"{' '.join(words)}, {trials[run_id]}: {result}", flush=True)
    n_tried = arguments.trials - n_left
    print(f"{n_identical} of {n_tried} identical")
    return 0 if n_identical == n_tried else 1


def search(folder: str, file: str, *options: str) -> dict[str, str]:
    """Run a search in a process of its own; return run id to what the trial is."""
    words = ["search", str(EXPERIMENTS / file), *options, "--json"]
    done = run(folder, "-m", "ktune", *words)
    trials = json.loads(done)["trials"]
    return {t["run_id"]: f"trial {t['trial']} ({t['state']})" for t in trials}


def reproduce(folder: str, run_ids: list[str]) -> dict[str, str]:
    """Reproduce trials in a process of their own; return run id to sameness."""
    lines = run(folder, "-c", REPRODUCE, *run_ids).splitlines() if run_ids else []
    return dict(json.loads(line) for line in lines)


def run(folder: str, *words: str) -> str:
    """Run Python in a folder and return what it prints."""
    # The sample of 5,000 images is real data enough, and quick.
    environment = {**os.environ, "KTUNE_DATA_DIR": ""}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout


if __name__ == "__main__":
    raise SystemExit(main())
