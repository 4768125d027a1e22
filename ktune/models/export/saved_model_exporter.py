"""Export as a SavedModel folder, for TensorFlow Serving and TensorFlow itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktune.models.export.metadata import METADATA_FILE, metadata_files
from ktune.models.export.saved_model_folder import SIGNATURE, write_saved_model

if TYPE_CHECKING:  # running a file must not import scikit-learn
    from ktune.protocols import ExportJob

_EXTRA = "assets.extra"  # TensorFlow's folder for files of other libraries


class SavedModelExporter:
    """A folder with signature ``serving_default``, and metadata in ``assets.extra``."""

    name = "savedmodel"
    tolerance = 1e-5
    packages = ()
    runtime = ()

    def write(self, job: "ExportJob", folder: Path) -> Path:
        """Write the folder."""
        path = folder / f"{job.name}-savedmodel"
        write_saved_model(job.model, path)
        extra = path / _EXTRA
        extra.mkdir()
        for name, content in metadata_files(job.metadata).items():
            (extra / name).write_text(content, encoding="utf-8")
        return path

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> Any:
        """Load it with TensorFlow, without Keras, and call its signature."""
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        tensors = {name: tf.constant(part) for name, part in rows.items()}
        outputs = loaded.signatures[SIGNATURE](**tensors)
        parts = {name: np.asarray(part) for name, part in outputs.items()}
        return parts if len(parts) > 1 else next(iter(parts.values()))

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Read them from ``assets.extra``."""
        content = (path / _EXTRA / METADATA_FILE).read_text(encoding="utf-8")
        metadata: Mapping[str, Any] = json.loads(content)
        return metadata
