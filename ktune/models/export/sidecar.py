"""Preprocessing that no exported model can carry stands in files beside it.

``preprocessing.skops`` is the fitted scikit-learn transformer, to be loaded by
``skops.io.load`` (nothing is unpickled); ``preprocessing.json`` says how to use it.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.preprocessing import FittedPreprocessing
from ktune.models.export.rows_file import SINGLE_INPUT

TRANSFORMER_FILE = "preprocessing.skops"
GUIDE_FILE = "preprocessing.json"


def write_sidecar(
    folder: Path, transformer: Path, spec: Mapping[str, Any], reason: str
) -> None:
    """Write both files.

    Args:
        folder: Where the exported models stand.
        transformer: The skops file of the registered model.
        spec: Of the registered model.
        reason: Why the preprocessing cannot stand inside.
    """
    shutil.copyfile(transformer, folder / TRANSFORMER_FILE)
    guide = {
        "why": reason,
        "transformer": TRANSFORMER_FILE,
        "trusted_types": spec["trusted_types"],
        "columns": spec["columns"],
        "text_columns": spec["text_columns"],
        "categories": spec["categories"],
        "scale": spec["scale"],
        "shift": spec["shift"],
        "use": [
            f"transformer = skops.io.load('{TRANSFORMER_FILE}', trusted=trusted_types)",
            "table = table[columns]; text columns as str, all others as float64",
            "rows = transformer.transform(table).astype('float32')",
            "times scale plus shift, where they are not null",
        ],
    }
    path = folder / GUIDE_FILE
    path.write_text(json.dumps(guide, indent=2), encoding="utf-8")


def apply_sidecar(
    folder: Path, rows: Mapping[str, Any], metadata: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Return what an exported model takes, for raw rows.

    Args:
        folder: Where the files stand.
        rows: A table or an array under the name of the only input.
        metadata: Of the exported model.
    """
    import skops.io

    guide = json.loads((folder / GUIDE_FILE).read_text(encoding="utf-8"))
    transformer = skops.io.load(
        folder / metadata["preprocessing"], trusted=guide["trusted_types"]
    )
    fitted = FittedPreprocessing(
        transformer, _as_array(guide["scale"]), _as_array(guide["shift"])
    )
    raw = rows[SINGLE_INPUT]
    if isinstance(raw, pd.DataFrame):
        raw = raw[guide["columns"]]
    return {SINGLE_INPUT: np.asarray(fitted.transform(raw))}


def _as_array(number: Any) -> Any:
    return None if number is None else np.asarray(number)
