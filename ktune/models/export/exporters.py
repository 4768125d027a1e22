"""The formats a model can be exported to: one file each, one line each here."""

import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ktune.errors import ExportError
from ktune.utils.text import did_you_mean

if TYPE_CHECKING:  # running a file must not wait for scikit-learn
    from ktune.protocols import Exporter

EXPORTERS: Mapping[str, str] = {
    "keras": "keras_exporter:KerasExporter",
    "savedmodel": "saved_model_exporter:SavedModelExporter",
    "tflite": "tflite_exporter:TfliteExporter",
    "tflite_float16": "tflite_float16_exporter:TfliteFloat16Exporter",
    "tflite_int8": "tflite_int8_exporter:TfliteInt8Exporter",
    "onnx": "onnx_exporter:OnnxExporter",
}
"""Format to where its exporter stands; imported when it is asked for."""

REMEDIES = {
    "onnx": 'pip install "ktune[onnx]"',
    "tflite": 'pip install "ktune[tflite]"',
}


def make_exporter(name: str) -> "Exporter":
    """Return the exporter of a format.

    Raises:
        ExportError: There is none of that name.
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
        ExportError: There is no such format, or a package it needs is missing.
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
    """Return the distributions a format needs that are not installed."""
    return [name for name in exporter.packages if not _is_installed(name)]


def remedy_of(exporter: "Exporter") -> str:
    """Return what installs the packages of a format."""
    return REMEDIES.get(exporter.name.partition("_")[0], "")


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
