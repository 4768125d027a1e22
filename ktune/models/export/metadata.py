"""What stands in every exported model about itself.

| key | meaning |
|---|---|
| `model` | registered name and version |
| `task` | binary, multiclass, multilabel or regression |
| `class_names` | in the order of the outputs; empty for regression |
| `returns_logits` | whether outputs are logits rather than probabilities |
| `threshold` | from which probability on a row is positive; null: 0.5 |
| `inputs` | name to shape and type of a row |
| `columns` | names of the columns, where the rows are those of a table |
| `quantized` | in int8 files: `weights and activations` or `weights` |
| `preprocessing` | `inside`, or the name of the file it stands in |

It is JSON under the name `ktune.json`, beside it `labels.txt` with a class name a line,
where other tools look for them.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METADATA_FILE = "ktune.json"
LABELS_FILE = "labels.txt"


def metadata_files(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return name to content of the files that hold metadata."""
    labels = "".join(f"{name}\n" for name in metadata["class_names"])
    return {METADATA_FILE: json.dumps(dict(metadata)), LABELS_FILE: labels}


def append_to_archive(path: Path, metadata: Mapping[str, Any]) -> None:
    """Add the files to a zip archive, or as one to the end of another file."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in metadata_files(metadata).items():
            archive.writestr(name, content)


def read_from_archive(path: Path) -> Mapping[str, Any]:
    """Return what `append_to_archive` has added."""
    with zipfile.ZipFile(path) as archive:
        found: Mapping[str, Any] = json.loads(archive.read(METADATA_FILE))
    return found
