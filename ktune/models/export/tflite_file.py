"""Convert and run TFLite files (LiteRT); shared by the three TFLite formats."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktune.errors import ExportError
from ktune.models.export.metadata import append_to_archive, read_from_archive
from ktune.models.export.saved_model_folder import SIGNATURE, write_saved_model
from ktune.models.tolerance import compute_type

if TYPE_CHECKING:  # running a file must not import scikit-learn
    from ktune.protocols import ExportJob

_BATCH = 256


def write_tflite(
    job: "ExportJob", path: Path, configure: Callable[[Any], None] = lambda _: None
) -> Path:
    """Convert a model and write it with its metadata.

    The metadata are a zip archive at the end of the file, like the label files of
    TFLite's own tools (`unzip model.tflite` lists them).

    Args:
        job: The model.
        path: File to write.
        configure: Sets options of TensorFlow's converter.

    Raises:
        ExportError: TFLite does not support the model.
    """
    import tensorflow as tf

    try:
        model = job.unroll()
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ExportError(
            "TFLite needs recurrent layers unrolled over a fixed number of steps, "
            f"which fails for this model: {error}"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(model, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE]
        )
        configure(converter)
        try:
            content = converter.convert()
        except Exception as error:
            raise ExportError(_why_not(model, error)) from error
    path.write_bytes(content)
    append_to_archive(path, job.metadata)
    return path


def _why_not(model: Any, error: Exception) -> str:
    """Return why TFLite cannot hold a model."""
    reason = f"TFLite does not support this model: {str(error).strip().splitlines()[0]}"
    number_type = compute_type(model)
    if number_type == "float32":
        return reason
    return (
        f"TFLite has few operations for {number_type}, in which layers of this model "
        "compute. Export it as keras, savedmodel or onnx, or build the layers with "
        f"dtype='float32'. {reason}"
    )


def representative_rows(job: "ExportJob") -> Callable[[], Iterator[dict[str, Any]]]:
    """Return a function that yields example rows one by one, for quantisation."""

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(len(next(iter(job.example.values())))):
            yield {name: part[index : index + 1] for name, part in job.example.items()}

    return rows


def run_tflite(path: Path, rows: Mapping[str, np.ndarray]) -> Any:
    """Return the outputs of LiteRT for rows, one array per input."""
    runner = _interpreter(path).get_signature_runner(SIGNATURE)
    n_rows = len(next(iter(rows.values())))
    parts: dict[str, list[np.ndarray]] = {}
    for first in range(0, n_rows, _BATCH):
        batch = {name: part[first : first + _BATCH] for name, part in rows.items()}
        for name, part in runner(**batch).items():
            parts.setdefault(name, []).append(np.array(part))
    outputs = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    return outputs if len(outputs) > 1 else next(iter(outputs.values()))


def read_tflite_metadata(path: Path) -> Mapping[str, Any]:
    """Return the metadata at the end of the file."""
    return read_from_archive(path)


def _interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path))
