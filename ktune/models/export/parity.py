"""Run an exported model in a separate process and compare it with its source."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktune.data.dataset import Inputs, Task
from ktune.data.nest import Nest
from ktune.errors import ExportRefused
from ktune.metrics.predictions import predicted_classes
from ktune.models.export.rows_file import read_outputs, write_rows_file
from ktune.models.fresh_process import FreshProcessFailed, run_fresh
from ktune.protocols import Exporter

MIN_AGREEMENT = 0.9
"""Share of rows on which a lossy format must predict the same class."""

MAX_RELATIVE_ERROR = 0.1
"""Largest error of a lossy format in a regression: RMS, in deviations of outputs."""


@dataclass(frozen=True, eq=False)
class Replay:
    """Outputs of an exported model in a separate process.

    Attributes:
        outputs: Shape (n, k); of a custom task an array, or arrays by name.
        metadata: Metadata in the file.
    """

    outputs: Any
    metadata: Mapping[str, Any]


def replay(exporter: Exporter, path: Path, rows: Inputs, folder: Path) -> Replay:
    """Run an exported model on raw rows in a fresh process.

    Args:
        exporter: The exporter of its format.
        path: The exported file or folder.
        rows: Raw rows.
        folder: Folder for temporary files.

    Raises:
        ExportRefused: The model does not load or does not run.
    """
    outputs = folder / "outputs.npz"
    where = str(path.resolve())
    words = [exporter.name, where, str(write_rows_file(rows, folder)), str(outputs)]
    try:
        run_fresh("ktune.models.export.replay", words, folder)
    except FreshProcessFailed as error:
        raise ExportRefused(f"{exporter.name}: does not run: {error}") from error
    found, more = read_outputs(outputs)
    return Replay(found, json.loads(str(more["metadata"])))


def largest_difference(outputs: Any, reference: Any) -> float:
    """Return the largest difference, relative to the largest output if it exceeds 1.

    Of several outputs by name, that of the output that differs most.

    Raises:
        ExportRefused: Shapes differ, or outputs are not finite.

    Example:
        >>> round(largest_difference(np.array([[0.25]]), np.array([[0.5]])), 6)
        0.25
        >>> round(largest_difference(np.array([[101.0]]), np.array([[100.0]])), 6)
        0.01
    """
    if isinstance(reference, Mapping):
        return max(largest_difference(*pair) for pair in _pairs(outputs, reference))
    if outputs.shape != reference.shape:
        raise ExportRefused(
            f"outputs have shape {outputs.shape}, those of the registered model "
            f"{reference.shape}"
        )
    if not np.isfinite(outputs).all():
        raise ExportRefused("outputs are not finite numbers (NaN or inf)")
    largest = max(1.0, float(np.abs(reference).max()))
    return float(np.abs(outputs.astype(np.float64) - reference).max()) / largest


def _pairs(outputs: Any, reference: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Return outputs of the same names.

    Raises:
        ExportRefused: Their names differ.
    """
    found = set(outputs) if isinstance(outputs, Mapping) else {"(one output)"}
    if found != set(reference):
        raise ExportRefused(
            f"outputs are {sorted(found)}, those of the registered model "
            f"{sorted(reference)}"
        )
    return [(outputs[name], part) for name, part in reference.items()]


def check_lossy(predictions: Any, reference: Any, task: Task) -> float:
    """Return the agreement of a lossy format; 1 is perfect.

    For classes it is the share of rows with equal predictions; for regression
    or a custom task one minus the RMS error in standard deviations of the reference, of
    the worst output if there are several.

    Args:
        predictions: Predictions of the lossy format, as for `predicted_classes`.
        reference: Predictions of the registered model.
        task: The task.

    Raises:
        ExportRefused: The agreement is below the limit.
    """
    if isinstance(reference, Nest):
        pairs = _pairs(predictions.parts, reference.parts)
        return min(check_lossy(*pair, task) for pair in pairs)
    if task in (Task.REGRESSION, Task.CUSTOM):
        error = np.sqrt(np.mean((predictions.astype(np.float64) - reference) ** 2))
        relative = float(error / max(float(reference.std()), 1e-12))
        if relative > MAX_RELATIVE_ERROR:
            raise ExportRefused(
                f"outputs are off by {relative:.2f} standard deviations (RMS)"
            )
        return 1 - relative
    exported = predicted_classes(predictions, task)
    agreement = float((exported == predicted_classes(reference, task)).mean())
    if agreement < MIN_AGREEMENT:
        raise ExportRefused(
            f"predicts the same as the registered model for {agreement:.0%} of the "
            f"rows only; at least {MIN_AGREEMENT:.0%} are required"
        )
    return agreement
