"""Files beside an exported model with preprocessing that cannot be embedded.

``preprocessing.skops`` is the fitted scikit-learn transformer, to be loaded with
``skops.io.load`` (without unpickling); ``preprocessing.json`` describes its use.
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


def write_preprocessing(
    folder: Path, transformer: Path, spec: Mapping[str, Any], reason: str
) -> None:
    """Write both files.

    Args:
        folder: Folder of the exported models.
        transformer: The skops file of the registered model.
        spec: Specification of the registered model.
        reason: Why the preprocessing cannot be embedded.
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


def apply_preprocessing(
    folder: Path, rows: Mapping[str, Any], metadata: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Return preprocessed rows for an exported model.

    Args:
        folder: Folder of the files.
        rows: A raw table or array, named `SINGLE_INPUT`.
        metadata: Metadata of the exported model.
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
