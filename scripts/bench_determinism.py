"""What does determinism cost? Trials with and without it, in processes of their own.

    python scripts/bench_determinism.py [--repeats 3]

Prints the seconds of the second trial of each kind (the first one traces), smallest of
the repeats, which alternate so that other load meets both alike.
"""

import argparse
import json
import subprocess
import sys
import time

CASES = ("table", "mlp", "cnn", "lstm")
TRAINERS = ("graph", "keras_fit")


def run_case(case: str, trainer: str, deterministic: bool) -> float:
    """Return the seconds of one warm trial."""
    from ktune.utils.runtime import import_keras

    import_keras()
    import numpy as np

    import ktune
    from ktune.data import load_data
    from ktune.data.folds import split
    from ktune.evaluation.context import make_context
    from ktune.evaluation.evaluate import evaluate_trial
    from ktune.spaces.hyperparameters import default_values
    from ktune.trial import Trial

    rng = np.random.default_rng(0)
    image = rng.random((2000, 28, 28), np.float32), rng.integers(0, 10, 2000)
    words = rng.integers(0, 500, (1000, 30)), rng.integers(0, 2, 1000)
    data, build, epochs = {
        "table": (ktune.data.breast_cancer(), ktune.spaces.mlp(), 20),
        "mlp": (image, ktune.spaces.mlp(), 5),
        "cnn": (image, ktune.spaces.cnn(), 3),
        "lstm": (words, ktune.spaces.rnn(vocabulary=500), 2),
    }[case]
    experiment = ktune.Experiment(
        name="bench",
        data=data,
        build=build,
        fit={"batch_size": 64, "epochs": epochs, "early_stopping": False},
        cv=3,
        trainer=trainer,
        deterministic=deterministic,
    )
    dataset = load_data(experiment.data, name="bench")
    context = make_context(
        experiment, dataset, split(dataset, cv=3, test_size=0.2, seed=0)
    )
    values = default_values(context.builder.declare)
    for number in range(2):
        started = time.perf_counter()
        result = evaluate_trial(context, Trial(number, values, seed=number + 1))
        seconds = time.perf_counter() - started
        assert result.is_complete, result.failure
    return seconds


def main() -> None:
    """Run all cases, or one in a child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(run_case(*json.loads(arguments.case))))
        return
    for case in CASES:
        for trainer in TRAINERS:
            seconds: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(arguments.repeats):
                for deterministic in (True, False):
                    word = json.dumps([case, trainer, deterministic])
                    done = subprocess.run(
                        [sys.executable, __file__, "--case", word],
                        stdout=subprocess.PIPE,
                        check=True,
                        text=True,
                    )
                    seconds[deterministic].append(json.loads(done.stdout))
            on, off = min(seconds[True]), min(seconds[False])
            print(
                f"{case:6} {trainer:10} deterministic {on:7.2f} s, fast {off:7.2f} s: "
                f"{on / off - 1:+.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
