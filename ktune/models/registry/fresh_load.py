"""Load a model folder by MLflow and predict; run in a process of its own.

Arguments: folder, rows, outputs to write.
"""

import sys
from pathlib import Path

from ktune.errors import KtuneError
from ktune.models.export.rows_file import SINGLE_INPUT, read_rows_file, write_outputs
from ktune.tracking.model_files import load_pyfunc, predict_rows


def main(words: list[str]) -> None:
    """Write what the model predicts for the rows to an npz file."""
    folder, rows_file, outputs = words
    rows = read_rows_file(Path(rows_file))
    given = rows[SINGLE_INPUT] if list(rows) == [SINGLE_INPUT] else rows
    try:
        found = predict_rows(load_pyfunc(Path(folder), "folder"), given)
        write_outputs(Path(outputs), found)
    except KtuneError as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main(sys.argv[1:])
