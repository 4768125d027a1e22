"""Run an exported model in a separate process.

Arguments: format, exported file, file of rows, file of outputs. If the preprocessing is
in a file beside the model, it is applied to the raw rows first.
"""

import json
import sys
from pathlib import Path

import numpy as np

from ktune.models.export.exporters import make_exporter
from ktune.models.export.rows_file import read_rows_file, write_outputs


def main(words: list[str]) -> None:
    """Write the outputs and the metadata of an exported model to an npz file."""
    format_name, path, rows_file, outputs_file = words
    exporter = make_exporter(format_name)
    metadata = exporter.read_metadata(Path(path))
    rows = read_rows_file(Path(rows_file))
    if metadata["preprocessing"] != "inside":
        # Imported only if needed, because scikit-learn takes seconds.
        from ktune.models.export.external_preprocessing import apply_preprocessing

        rows = apply_preprocessing(Path(path).parent, rows, metadata)
    inputs = {
        name: np.asarray(part).astype(metadata["inputs"][name]["type"], copy=False)
        for name, part in rows.items()
    }
    outputs = exporter.replay(Path(path), inputs)
    write_outputs(Path(outputs_file), outputs, metadata=json.dumps(dict(metadata)))


if __name__ == "__main__":
    main(sys.argv[1:])
