"""Metadata in every exported model.

| key | meaning |
|---|---|
| `model` | registered name and version |
| `task` | binary, multiclass, multilabel, regression or custom |
| `class_names` | in the order of the outputs; empty for regression |
| `returns_logits` | whether outputs are logits rather than probabilities |
| `threshold` | decision threshold; null for 0.5 |
| `inputs` | shape and type of a row by name of the input |
| `output_names` | of several outputs, as in the file; absent for one |
| `columns` | names of the columns, if the rows are a table |
| `quantized` | in int8 files: `weights and activations` or `weights` |
| `preprocessing` | `inside`, or the name of its file |

The metadata are JSON in `ktune.json`; `labels.txt` beside it has one class name per
line, where other tools look for them.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METADATA_FILE = "ktune.json"
LABELS_FILE = "labels.txt"


def metadata_files(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the content of the metadata files by name."""
    labels = "".join(f"{name}\n" for name in metadata["class_names"])
    return {METADATA_FILE: json.dumps(dict(metadata)), LABELS_FILE: labels}


def append_to_archive(path: Path, metadata: Mapping[str, Any]) -> None:
    """Add the files to a zip archive, or append an archive to another file."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in metadata_files(metadata).items():
            archive.writestr(name, content)


def read_from_archive(path: Path) -> Mapping[str, Any]:
    """Return the metadata from `append_to_archive`."""
    with zipfile.ZipFile(path) as archive:
        metadata: Mapping[str, Any] = json.loads(archive.read(METADATA_FILE))
    return metadata
