"""What a model says about new rows, with names instead of numbers."""

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
    """Return one row a row: the prediction, and the probability of each class.

    Columns: ``file`` for images; ``prediction``; ``probability_<class>`` for classes.
    Several labels have a column 0/1 each, ``prediction_<label>``; several regression
    targets ``prediction_0``, ``prediction_1``, ….

    Raises:
        DataError: The rows are not what the model takes.
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
    """Return the columns that predictions become.

    Args:
        predictions: As `ktune.data.targets.as_predictions` returns them.
        task: What is predicted.
        class_names: In the order of the class numbers.
        chosen: What the classes are decided by; None: the predictions.

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
    """Check that predictions can be written to a file, before they are made.

    Raises:
        DataError: Its ending or its folder is wrong.
    """
    if path.suffix.lower() not in _WRITERS:
        raise DataError(
            f"{path}: predictions are written as {', '.join(_WRITERS)}; got "
            f"{path.suffix or 'no ending'!r}."
        )
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {str(path.parent)!r}.")


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write the table by the ending of the file, whole or not at all."""
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
