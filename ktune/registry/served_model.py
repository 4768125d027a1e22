"""The code of a registered model: raw rows in, Keras's own ``predict`` out.

MLflow stores this file with the model and runs it when the model is loaded. It stands
alone: whoever loads the model needs Keras, NumPy, pandas and skops, but not ktune.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel


class ServedModel(PythonModel):
    """Preprocessing and Keras model behind MLflow's ``predict``."""

    def load_context(self, context: Any) -> None:
        """Load the parts. Keras's safe mode stays on, and nothing is unpickled."""
        import keras

        self.spec = json.loads(Path(context.artifacts["spec"]).read_text("utf-8"))
        self.model = keras.saving.load_model(context.artifacts["model"], compile=False)
        self.transformer = None
        if "transformer" in context.artifacts:
            import skops.io

            # The types are those the model was saved with.
            self.transformer = skops.io.load(
                context.artifacts["transformer"], trusted=self.spec["trusted_types"]
            )

    # Annotated, because MLflow warns about predict functions without type hints.
    def predict(
        self, context: Any, model_input: np.ndarray, params: Any = None
    ) -> np.ndarray:
        """Return what the Keras model predicts for raw rows."""
        if self.spec["input_names"]:
            features: Any = self._named_inputs(model_input)
        elif self.spec["columns"]:
            features = self._numbers(self._table(model_input))
        else:
            features = self._numbers(self._array(model_input))
        return np.asarray(
            self.model.predict(features, batch_size=self.spec["batch_size"], verbose=0)
        )

    def _named_inputs(self, data: Any) -> dict[str, np.ndarray]:
        return {
            name: self._float32_or_integers(np.asarray(data[name]))
            for name in self.spec["input_names"]
        }

    def _array(self, data: Any) -> np.ndarray:
        if isinstance(data, pd.DataFrame):
            data = data.to_numpy()
        rows = np.asarray(data)
        if rows.dtype == object:
            rows = np.array(rows.tolist())
        shape = tuple(self.spec["input_shape"])
        if rows.shape[1:] == shape:
            return rows
        if rows.ndim != 2 or rows.shape[1] != int(np.prod(shape)):
            raise ValueError(f"rows must be of shape {shape}; got {rows.shape[1:]}")
        return rows.reshape((-1, *shape))

    def _table(self, data: Any) -> pd.DataFrame:
        columns = self.spec["columns"]
        if not isinstance(data, pd.DataFrame):
            data = pd.DataFrame(np.asarray(data))
        if set(columns) <= set(data.columns):
            data = data[columns]
        elif data.shape[1] == len(columns) and not any(
            isinstance(name, str) for name in data.columns
        ):
            data = data.set_axis(columns, axis=1)
        else:
            missing = [name for name in columns if name not in set(data.columns)]
            raise ValueError(f"columns {missing} are missing")
        text = self.spec["text_columns"]
        changed: dict[str, Any] = {
            name: data[name].astype(object).map(_as_category).astype(object)
            if name in text
            else pd.to_numeric(data[name]).astype(np.float64)
            for name in columns
        }
        return data.assign(**changed)

    def _numbers(self, rows: Any) -> np.ndarray:
        if self.transformer is not None:
            if not isinstance(rows, pd.DataFrame) and rows.dtype.kind in "fiub":
                rows = rows.astype(np.float64)
            rows = self.transformer.transform(rows)
            rows = rows.toarray() if hasattr(rows, "toarray") else rows
        numbers = self._float32_or_integers(np.asarray(rows))
        if self.spec["scale"] is None:
            return numbers
        scaled = numbers.astype(np.float32) * np.float32(self.spec["scale"])
        if self.spec["shift"] is None:
            return scaled
        return scaled + np.float32(self.spec["shift"])

    def _float32_or_integers(self, numbers: np.ndarray) -> np.ndarray:
        if numbers.dtype.kind in "iu" and self.spec["keeps_integers"]:
            return numbers
        return numbers.astype(np.float32)


def _as_category(value: Any) -> Any:
    """Write a category as training did: 1, 1.0 and "1" are the same one."""
    if pd.isna(value):
        return np.nan
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)


mlflow.models.set_model(ServedModel())
