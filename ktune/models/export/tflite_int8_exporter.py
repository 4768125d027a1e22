"""Export as a ``.tflite`` file with 8-bit integers: a quarter of the size."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktune.models.export.tflite_file import (
    read_tflite_metadata,
    representative_rows,
    run_tflite,
    write_tflite,
)

if TYPE_CHECKING:  # running a file must not import scikit-learn
    from ktune.protocols import ExportJob

MAX_ERROR = 0.05
"""Maximum RMS error of quantized activations on the representative rows.

In standard deviations of the outputs.
"""


class TfliteInt8Exporter:
    """8-bit weights, and 8-bit activations if the error stays small.

    An activation has one range for the whole tensor, taken from representative rows.
    Columns of very different magnitude (raw tables, or recurrent states) do not fit
    into 256 steps of one range; then only the weights are quantized, and the range of
    the activations is computed for every row. Inputs and outputs are 32-bit floats.
    """

    name = "tflite_int8"
    tolerance = None
    packages = ("ai-edge-litert",)
    runtime = ("ai_edge_litert.interpreter",)

    def write(self, job: "ExportJob", folder: Path) -> Path:
        """Convert and write the file; the metadata name the ``quantized`` parts."""
        path = folder / f"{job.name}-int8.tflite"
        _write(job, path, "weights and activations", representative_rows(job))
        if _error(job, path) > MAX_ERROR:
            _write(job, path, "weights", None)
        return path

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> Any:
        """Run it with LiteRT."""
        return run_tflite(path, rows)

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Read them from the end of the file."""
        return read_tflite_metadata(path)


def _write(
    job: "ExportJob", path: Path, what: str, rows: Callable[[], Any] | None
) -> None:
    def configure(converter: Any) -> None:
        import tensorflow as tf

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if rows is not None:
            converter.representative_dataset = rows

    metadata = {**job.metadata, "quantized": what}
    write_tflite(replace(job, metadata=metadata), path, configure)


def _error(job: "ExportJob", path: Path) -> float:
    """Return the RMS error on the example rows, in deviations of the outputs."""
    rows = dict(job.example)
    inputs = next(iter(rows.values())) if len(rows) == 1 else rows
    wanted = np.asarray(job.model.predict(inputs, verbose=0))
    error = np.sqrt(np.mean((run_tflite(path, rows) - wanted) ** 2))
    return float(error / max(float(wanted.std()), 1e-12))
