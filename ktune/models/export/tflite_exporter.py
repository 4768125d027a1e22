"""Export as a ``.tflite`` file of full precision, for phones and small devices."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktune.models.export.tflite_file import (
    read_tflite_metadata,
    run_tflite,
    write_tflite,
)

if TYPE_CHECKING:  # running a file must not import scikit-learn
    from ktune.protocols import ExportJob


class TfliteExporter:
    """32-bit floats, as in the registered model."""

    name = "tflite"
    tolerance = 1e-5
    packages = ("ai-edge-litert",)
    runtime = ("ai_edge_litert.interpreter",)

    def write(self, job: "ExportJob", folder: Path) -> Path:
        """Convert and write the file."""
        return write_tflite(job, folder / f"{job.name}.tflite")

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> Any:
        """Run it with LiteRT."""
        return run_tflite(path, rows)

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Read them from the end of the file."""
        return read_tflite_metadata(path)
