"""Export as a ``.tflite`` file with 16-bit weights: half the size, less precise."""

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


class TfliteFloat16Exporter:
    """16-bit weights; inputs and outputs are 32-bit floats."""

    name = "tflite_float16"
    tolerance = None
    packages = ("ai-edge-litert",)
    runtime = ("ai_edge_litert.interpreter",)

    def write(self, job: "ExportJob", folder: Path) -> Path:
        """Convert and write the file."""
        return write_tflite(job, folder / f"{job.name}-float16.tflite", _configure)

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> Any:
        """Run it with LiteRT."""
        return run_tflite(path, rows)

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Read them from the end of the file."""
        return read_tflite_metadata(path)


def _configure(converter: Any) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
