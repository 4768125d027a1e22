"""Predictions for new rows as tables, with class names instead of numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.dataset import Task
from ktune.data.nest import parts_of
from ktune.errors import DataError, TrialFailed
from ktune.metrics.predictions import predicted_classes
from ktune.models.prediction.fitting import FittedRows
from ktune.models.registry.stored_model import StoredModel

_WRITERS = (".csv", ".parquet", ".json", ".npz")


def predict_rows(model: StoredModel, rows: FittedRows) -> pd.DataFrame:
    """Return the prediction of each row, and the probability of each class.

    Columns: ``file`` for images; ``prediction``; ``probability_<class>`` for classes.
    Multilabel models have one column 0/1 per label, ``prediction_<label>``; several
    regression targets have ``prediction_0``, ``prediction_1``, ….

    Raises:
        DataError: The rows do not match the model.
    """
    predictions = _predictions(model, rows)
    named = name_predictions(
        predictions, model.task, model.class_names, chosen=model.cut(predictions)
    )
    files = {"file": list(rows.files)} if rows.files else {}
    return pd.DataFrame({**files, **named})


def predict_outputs(model: StoredModel, rows: FittedRows) -> dict[str, np.ndarray]:
    """Return the outputs of a custom task by name; one output is ``prediction``.

    Raises:
        DataError: The rows do not match the model.
    """
    parts = parts_of(_predictions(model, rows))
    files = {"file": np.array(rows.files)} if rows.files else {}
    return {**files, **{name or "prediction": part for name, part in parts.items()}}


def as_table(outputs: Mapping[str, np.ndarray]) -> pd.DataFrame | None:
    """Return outputs as columns; None if an output is an array for each row."""
    if any(part.ndim > 2 for part in outputs.values()):
        return None
    columns: dict[str, np.ndarray] = {}
    for name, part in outputs.items():
        if part.ndim == 1 or part.shape[1] == 1:
            columns[name] = part.reshape(-1)
        else:
            columns |= {f"{name}_{k}": part[:, k] for k in range(part.shape[1])}
    return pd.DataFrame(columns)


def write_outputs(outputs: Mapping[str, np.ndarray], path: Path) -> None:
    """Write outputs to an npz file; to another file if each is a vector.

    Raises:
        DataError: An output is an array for each row, and the file is a table.
    """
    table = as_table(outputs)
    if path.suffix.lower() == ".npz":
        _write_npz(outputs, path)
    elif table is not None:
        write_predictions(table, path)
    else:
        shapes = {name: tuple(part.shape[1:]) for name, part in outputs.items()}
        raise DataError(
            f"{path}: a row of outputs has shape {shapes}, which is no row of a table. "
            f"Write arrays: -o {path.with_suffix('.npz').name}"
        )


def _predictions(model: StoredModel, rows: FittedRows) -> Any:
    try:
        return model.as_predictions(model.predict(rows.rows))
    except DataError as error:
        raise DataError(f"{rows.name}: {error}") from error
    except TrialFailed as error:
        raise DataError(
            f"{rows.name}: {error}. Look for missing or infinite values in the rows."
        ) from error


def name_predictions(
    predictions: np.ndarray,
    task: Task,
    class_names: tuple[str, ...],
    chosen: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return predictions as named columns.

    Args:
        predictions: From `ktune.data.targets.as_predictions`.
        task: The task.
        class_names: In the order of the class numbers.
        chosen: Predictions that decide the classes; None: ``predictions``.

    Example:
        >>> columns = name_predictions(np.array([0.75]), Task.BINARY, ("no", "yes"))
        >>> columns["prediction"], columns["probability_no"].tolist()
        (['yes'], [0.25])
    """
    if task is Task.REGRESSION:
        if predictions.ndim == 1:
            return {"prediction": predictions}
        width = predictions.shape[1]
        return {f"prediction_{k}": predictions[:, k] for k in range(width)}
    decided = predicted_classes(predictions if chosen is None else chosen, task)
    if task is Task.BINARY:
        predictions = np.stack([1 - predictions, predictions], axis=1)
    probabilities = {
        f"probability_{name}": predictions[:, k] for k, name in enumerate(class_names)
    }
    if task is Task.MULTILABEL:
        labels = {
            f"prediction_{name}": decided[:, k] for k, name in enumerate(class_names)
        }
        return {**labels, **probabilities}
    return {"prediction": [class_names[k] for k in decided], **probabilities}


def check_output(path: Path) -> None:
    """Check that predictions can be written to a file, before they are computed.

    Raises:
        DataError: Its suffix is unknown, or its folder does not exist.
    """
    if path.suffix.lower() not in _WRITERS:
        raise DataError(
            f"{path}: predictions are written as {', '.join(_WRITERS)}; got "
            f"{path.suffix or 'no suffix'!r}."
        )
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {str(path.parent)!r}.")


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write the table atomically, in the format of the file's suffix."""
    if path.suffix.lower() == ".npz":
        _write_npz({str(name): _plain(table[name]) for name in table.columns}, path)
        return
    draft = path.with_name(f".{path.name}.part")
    try:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(draft, index=False)
        elif path.suffix.lower() == ".json":
            records = table.astype(object).to_dict("records")
            draft.write_text(json.dumps(records, indent=2), "utf-8")
        else:
            table.to_csv(draft, index=False)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _write_npz(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _plain(column: pd.Series) -> np.ndarray:
    """Return a column without Python objects, which would be pickled."""
    values = column.to_numpy()
    return values.astype(str) if values.dtype == object else values
