"""Export as an ``.onnx`` file, for ONNX Runtime and other readers."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktune.errors import ExportError
from ktune.models.export.metadata import LABELS_FILE, METADATA_FILE, metadata_files
from ktune.models.export.saved_model_folder import SIGNATURE, write_saved_model
from ktune.models.tolerance import compute_type

if TYPE_CHECKING:  # running a file must not import scikit-learn
    from ktune.protocols import ExportJob

_OPSET = 17  # tf2onnx 1.17 refuses 20, and is tested up to 18


class OnnxExporter:
    """Converts a SavedModel, as Keras's own ONNX export turns constants into inputs."""

    name = "onnx"
    tolerance = 1e-5
    packages = ("onnx", "tf2onnx", "onnxruntime")
    runtime = ("onnx", "onnxruntime")

    def write(self, job: "ExportJob", folder: Path) -> Path:
        """Convert with tf2onnx and write the file with its metadata."""
        if compute_type(job.model) == "bfloat16":
            raise ExportError(
                "tf2onnx cannot convert layers that compute in bfloat16. Use "
                "mixed_float16 or float32 in `build`, or export to savedmodel"
            )
        path = folder / f"{job.name}.onnx"
        with tempfile.TemporaryDirectory() as scratch:
            write_saved_model(job.model, Path(scratch))
            _convert(Path(scratch), path)
        _finish(path, job.metadata)
        return path

    def replay(self, path: Path, rows: Mapping[str, np.ndarray]) -> Any:
        """Run it with ONNX Runtime."""
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        parts = dict(zip(names, session.run(None, dict(rows)), strict=True))
        return parts if len(parts) > 1 else next(iter(parts.values()))

    def read_metadata(self, path: Path) -> Mapping[str, Any]:
        """Read them from the model's properties."""
        import onnx

        model = onnx.load(str(path), load_external_data=False)
        properties = {entry.key: entry.value for entry in model.metadata_props}
        found: Mapping[str, Any] = json.loads(properties[METADATA_FILE])
        return found


def _convert(saved_model: Path, path: Path) -> None:
    """Run tf2onnx in a separate process, as it changes TensorFlow's global state."""
    options = ["--saved-model", str(saved_model), "--signature_def", SIGNATURE]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tf2onnx.convert", *options),
            *("--output", str(path), "--opset", str(_OPSET)),
        ],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not path.exists():
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise ExportError(f"tf2onnx cannot convert this model: {lines[-1]}")


def _finish(path: Path, metadata: Mapping[str, Any]) -> None:
    """Replace operations that ONNX lacks, and add the metadata."""
    import onnx

    model = onnx.load(str(path))
    _replace_erfc(model.graph)
    files = metadata_files(metadata)
    properties = {METADATA_FILE: files[METADATA_FILE], LABELS_FILE: files[LABELS_FILE]}
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(path))


def _replace_erfc(graph: Any) -> None:
    """Replace erfc(x), which exact GELU contains, by 1 - erf(x).

    tf2onnx 1.17 writes the operation although ONNX does not define it.
    """
    from onnx import helper, numpy_helper

    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        erf, one = f"{node.name}__erf", f"{node.name}__one"
        constant = numpy_helper.from_array(np.array(1.0, np.float32), one)
        graph.initializer.append(constant)
        nodes.append(helper.make_node("Erf", list(node.input), [erf], f"{erf}_node"))
        nodes.append(helper.make_node("Sub", [one, erf], list(node.output), node.name))
    del graph.node[:]
    graph.node.extend(nodes)
