"""Export formats: one module per format, and one line per format here."""

import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ktune.errors import ExportError
from ktune.utils.text import did_you_mean

if TYPE_CHECKING:  # running a file must not import scikit-learn
    from ktune.protocols import Exporter

EXPORTERS: Mapping[str, str] = {
    "keras": "keras_exporter:KerasExporter",
    "savedmodel": "saved_model_exporter:SavedModelExporter",
    "tflite": "tflite_exporter:TfliteExporter",
    "tflite_float16": "tflite_float16_exporter:TfliteFloat16Exporter",
    "tflite_int8": "tflite_int8_exporter:TfliteInt8Exporter",
    "onnx": "onnx_exporter:OnnxExporter",
}
"""Module and class of each format; imported on demand."""

REMEDIES = {
    "onnx": 'pip install "ktune[onnx]"',
    "tflite": 'pip install "ktune[tflite]"',
}


def make_exporter(name: str) -> "Exporter":
    """Return the exporter of a format.

    Raises:
        ExportError: The format is unknown.
    """
    if name not in EXPORTERS:
        raise ExportError(
            f"there is no format {name!r}. Known: {', '.join(EXPORTERS)}."
            + did_you_mean(name, EXPORTERS)
        )
    module, _, attribute = EXPORTERS[name].partition(":")
    exporter: Exporter = getattr(
        importlib.import_module(f"ktune.models.export.{module}"), attribute
    )()
    return exporter


def choose_exporters(names: Iterable[str]) -> "list[Exporter]":
    """Return the exporters of these formats, each once.

    Raises:
        ExportError: A format is unknown, or one of its packages is missing.
    """
    exporters = [make_exporter(name) for name in dict.fromkeys(names)]
    for exporter in exporters:
        missing = missing_packages(exporter)
        if missing:
            raise ExportError(
                f"format {exporter.name!r} needs {', '.join(missing)}, which is not "
                f"installed. {remedy_of(exporter)}"
            )
    return exporters


def missing_packages(exporter: "Exporter") -> list[str]:
    """Return the required distributions of a format that are not installed."""
    return [name for name in exporter.packages if not _is_installed(name)]


def remedy_of(exporter: "Exporter") -> str:
    """Return the command that installs the packages of a format."""
    return REMEDIES.get(exporter.name.partition("_")[0], "")


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
