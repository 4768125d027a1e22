"""Load a model folder by MLflow alone, and predict; run in a process of its own.

Arguments: folder, rows, outputs to write.
"""

import sys
from pathlib import Path

import numpy as np

from ktune.models.export.rows_file import SINGLE_INPUT, read_rows_file


def main(words: list[str]) -> None:
    """Write what the model predicts for the rows to an npy file."""
    folder, rows_file, outputs = words
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(folder)
    rows = read_rows_file(Path(rows_file))
    given = rows[SINGLE_INPUT] if list(rows) == [SINGLE_INPUT] else rows
    np.save(outputs, np.asarray(model.predict(given)))


if __name__ == "__main__":
    main(sys.argv[1:])
