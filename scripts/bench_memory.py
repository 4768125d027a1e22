"""Watch the resident memory of one process over many trials.

Trials cycle through models of several structures (``--structures``), each compiled to a
separate program. The script prints the resident memory at regular intervals, which
grows in other tuners (keras-tuner#873, #1031). It rises until every structure has been
compiled once, and must be flat from then on, as long as the programs are kept
(`program_cache.MAX_PROGRAMS`). With more structures than that, programs come and go.

Usage::

    python scripts/bench_memory.py [--trials 300] [--structures 12] [--trainer graph]
"""

import argparse
import gc
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from ktune.data.dataset import DataDescription, Task
from ktune.data.preprocessing import PreparedFold
from ktune.experiment.fit_settings import FitSettings
from ktune.protocols import TrainingTask
from ktune.trainers import choose_trainer
from ktune.utils.runtime import import_keras

N_ROWS, N_FOLDS = 300, 3


def resident_mebibytes() -> float:
    """Return the present resident memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def make_task(number: int) -> TrainingTask:
    """Return a task whose model has the structure of this number."""
    random = np.random.default_rng(0)
    x = random.normal(size=(N_ROWS, 20)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    parts = np.array_split(np.arange(N_ROWS), N_FOLDS)
    folds = []
    for index, held in enumerate(parts):
        train = np.setdiff1d(np.arange(N_ROWS), held)
        folds.append(PreparedFold(index, x, y, train, train[:50], held))

    def build() -> Any:
        import keras

        layers = keras.layers
        hidden = [layers.Dense(4 + n, activation="relu") for n in divmod(number, 32)]
        output = layers.Dense(1, activation="sigmoid")
        model = keras.Sequential([keras.Input((20,)), *hidden, output])
        model.compile("adam", "binary_crossentropy")
        return model

    return TrainingTask(
        build=build,
        folds=folds,
        settings=FitSettings(batch_size=32, epochs=2),
        seeds=list(range(N_FOLDS)),
        data=DataDescription("rows", Task.BINARY, (20,), 2, N_ROWS),
    )


def main() -> None:
    """Run the trials and print memory on the way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--structures", type=int, default=12)
    parser.add_argument("--trainer", default="graph")
    options = parser.parse_args()
    import_keras()
    begin = time.perf_counter()
    for number in range(options.trials + 1):
        if number % 20 == 0:
            gc.collect()
            seconds = time.perf_counter() - begin
            print(
                f"{number} trials: {resident_mebibytes():.0f} MiB, {seconds:.0f} s",
                flush=True,
            )
        task = make_task(number % options.structures)
        training = choose_trainer(options.trainer, task).start(task)
        for _ in range(task.settings.epochs):
            training.run_epoch()
        training.close()


if __name__ == "__main__":
    main()
