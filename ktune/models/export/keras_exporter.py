"""A ``.keras`` file, for Keras itself under any of its backends."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktune.models.export.metadata import append_to_archive, read_from_archive

if TYPE_CHECKING:  # running a file must not wait for scikit-learn
    from ktune.protocols import ExportJob


class KerasExporter:
    """Keras's own format; the metadata stand in its archive."""

    name = "keras"
    tolerance = 1e-5
    packages = ()
    runtime = ()

    def write(self, job: "ExportJob", folder: Path) -> Path:
        """Save the model and add the metadata."""
        path = folder / f"{job.name}.keras"
        job.model.save(path)
        append_to_archive(path, job.metadata)
        return path

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        """Load it by Keras and predict."""
        import keras

        model = keras.saving.load_model(path, compile=False)
        inputs = next(iter(rows.values())) if len(rows) == 1 else dict(rows)
        return np.asarray(model.predict(inputs, verbose=0))

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Read them from the archive."""
        return read_from_archive(path)
