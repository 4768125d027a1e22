"""A ``.keras`` file, for Keras itself under any of its backends.

Classes and functions of the user are not inside; their code stands beside.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktune.errors import ExportError, ModelLost
from ktune.models.export.metadata import append_to_archive, read_from_archive

if TYPE_CHECKING:  # running a file must not import scikit-learn
    from ktune.protocols import ExportJob


class KerasExporter:
    """Keras's own format, with the metadata in its archive."""

    name = "keras"
    tolerance = 1e-5
    packages = ()
    runtime = ()

    def write(self, job: "ExportJob", folder: Path) -> Path:
        """Save the model, add the metadata, and write the code it needs beside."""
        from ktune.models.registry.storage import importable, whole_parts

        try:
            objects, code = whole_parts(job.model)
        except ModelLost as error:
            raise ExportError(f"a .keras file cannot hold it: {error}") from error
        path = folder / f"{job.name}.keras"
        job.model.save(path)
        beside = {"custom_objects": importable(objects)} if objects else {}
        append_to_archive(path, {**job.metadata, **beside})
        if objects:
            code.write(_code_folder(path))
        return path

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> Any:
        """Load it with Keras and predict."""
        import keras

        with keras.saving.custom_object_scope(_own_objects(path)):
            model = keras.saving.load_model(path, compile=False)
        inputs = next(iter(rows.values())) if len(rows) == 1 else dict(rows)
        outputs = model.predict(inputs, verbose=0)
        return outputs if isinstance(outputs, dict) else np.asarray(outputs)

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Read them from the archive."""
        return read_from_archive(path)


def _code_folder(path: Path) -> Path:
    return path.with_name(f"{path.stem}-code")


def _own_objects(path: Path) -> dict[str, Any]:
    """Import the classes of the user from the folder beside a file."""
    if not _code_folder(path).is_dir():
        return {}
    from ktune.models.registry.served_model import import_objects

    wanted = read_from_archive(path).get("custom_objects", {})
    return import_objects(_code_folder(path), wanted)
