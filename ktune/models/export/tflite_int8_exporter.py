"""A ``.tflite`` file with integers of 8 bits: a quarter of the size."""

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

if TYPE_CHECKING:  # running a file must not wait for scikit-learn
    from ktune.protocols import ExportJob

LARGEST_ERROR = 0.05
"""RMS error on the representative rows, in standard deviations of the outputs, up to
which activations are integers too."""


class TfliteInt8Exporter:
    """Weights are integers; activations too where the model bears it.

    An activation has one range for the whole tensor, taken from representative rows.
    Columns of very different size (raw tables, or recurrent states) do not fit into
    256 steps of one range; then the weights alone are integers, and the range of the
    activations is found anew for every row. Inputs and outputs stay floats of 32 bits.
    """

    name = "tflite_int8"
    tolerance = None
    packages = ("ai-edge-litert",)
    runtime = ("ai_edge_litert.interpreter",)

    def write(self, job: "ExportJob", folder: Path) -> Path:
        """Convert and write the file; ``quantized`` in the metadata says what is."""
        path = folder / f"{job.name}-int8.tflite"
        _write(job, path, "weights and activations", representative_rows(job))
        if _error(job, path) > LARGEST_ERROR:
            _write(job, path, "weights", None)
        return path

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run it by LiteRT."""
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

    told = {**job.metadata, "quantized": what}
    write_tflite(replace(job, metadata=told), path, configure)


def _error(job: "ExportJob", path: Path) -> float:
    """Return the RMS error on the example rows, in deviations of the outputs."""
    rows = dict(job.example)
    inputs = next(iter(rows.values())) if len(rows) == 1 else rows
    wanted = np.asarray(job.model.predict(inputs, verbose=0))
    error = np.sqrt(np.mean((run_tflite(path, rows) - wanted) ** 2))
    return float(error / max(float(wanted.std()), 1e-12))
