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
CODE_FOLDER = "preprocessing-code"
"""Folder of the user's own classes and functions, if the transformer has some."""


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
    modules = spec.get("transformer_modules") or {}
    if modules:
        code = transformer.parent.parent / "code"
        shutil.copytree(code, folder / CODE_FOLDER, dirs_exist_ok=True)
    guide = {
        "why": reason,
        "transformer": TRANSFORMER_FILE,
        "trusted_types": spec["trusted_types"],
        "transformer_modules": modules,
        "input": spec.get("table_input") or SINGLE_INPUT,
        "columns": spec["columns"],
        "text_columns": spec["text_columns"],
        "categories": spec["categories"],
        "scale": spec["scale"],
        "shift": spec["shift"],
        "use": [
            *([f"sys.path.insert(0, '{CODE_FOLDER}')"] if modules else []),
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
        rows: Raw tables and arrays by name of the input.
        metadata: Metadata of the exported model.
    """
    from ktune.models.registry.served_model import load_transformer

    guide = json.loads((folder / GUIDE_FILE).read_text(encoding="utf-8"))
    file = folder / metadata["preprocessing"]
    transformer = load_transformer(file, folder / CODE_FOLDER, guide)
    fitted = FittedPreprocessing(
        transformer, _as_array(guide["scale"]), _as_array(guide["shift"])
    )
    name = guide["input"]
    raw = rows[name]
    if isinstance(raw, pd.DataFrame):
        raw = raw[guide["columns"]]
    return dict(transformed({**rows, name: raw}, name, fitted))


def transformed(rows: Any, name: str, part: FittedPreprocessing) -> Any:
    """Return rows of which one input is preprocessed.

    Args:
        rows: Raw rows: one table or array, or one of each input by name.
        name: Name of the input.
        part: Its preprocessing.
    """
    if not isinstance(rows, Mapping):
        return part.transform(rows)
    return {**rows, name: np.asarray(part.transform(rows[name]))}


def _as_array(number: Any) -> Any:
    return None if number is None else np.asarray(number)
