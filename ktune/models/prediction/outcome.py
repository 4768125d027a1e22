"""Predictions for new rows as tables, with class names instead of numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.dataset import Task
from ktune.errors import DataError, TrialFailed
from ktune.metrics.predictions import predicted_classes
from ktune.models.prediction.fitting import FittedRows
from ktune.models.registry.stored_model import StoredModel

_WRITERS = (".csv", ".parquet", ".json")


def predict_rows(model: StoredModel, rows: FittedRows) -> pd.DataFrame:
    """Return the prediction of each row, and the probability of each class.

    Columns: ``file`` for images; ``prediction``; ``probability_<class>`` for classes.
    Multilabel models have one column 0/1 per label, ``prediction_<label>``; several
    regression targets have ``prediction_0``, ``prediction_1``, ….

    Raises:
        DataError: The rows do not match the model.
    """
    try:
        predictions = model.as_predictions(model.predict(rows.rows))
    except DataError as error:
        raise DataError(f"{rows.name}: {error}") from error
    except TrialFailed as error:
        raise DataError(
            f"{rows.name}: {error}. Look for missing or infinite values in the rows."
        ) from error
    named = name_predictions(
        predictions, model.task, model.class_names, chosen=model.cut(predictions)
    )
    files = {"file": list(rows.files)} if rows.files else {}
    return pd.DataFrame({**files, **named})


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
