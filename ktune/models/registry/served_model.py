"""The code of a registered model: raw rows in, Keras's own ``predict`` out.

MLflow stores this file with the model and runs it when the model is loaded. It stands
alone: whoever loads the model needs Keras, NumPy, pandas and skops, but not ktune.
"""

import difflib
import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
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
        return np.asarray(self._outputs(features))

    def _outputs(self, features: Any) -> Any:
        parts = features.values() if isinstance(features, dict) else [features]
        batch_size = self.spec["batch_size"]
        if 0 < max(map(len, parts)) <= batch_size:
            # The same computation without a data pipeline, which for a single row
            # takes ten times as long as the model.
            return self.model.predict_on_batch(features)
        return self.model.predict(features, batch_size=batch_size, verbose=0)

    def _named_inputs(self, data: Any) -> dict[str, np.ndarray]:
        missing = [name for name in self.spec["input_names"] if name not in data]
        if missing:
            raise _refusal(f"inputs {missing} are missing")
        return {
            name: self._float32_or_integers(
                self._rows_of_shape(
                    np.asarray(data[name]), self.spec["input_shape"][name], name
                )
            )
            for name in self.spec["input_names"]
        }

    def _array(self, data: Any) -> np.ndarray:
        if isinstance(data, pd.DataFrame):
            data = data.to_numpy()
        return self._rows_of_shape(np.asarray(data), self.spec["input_shape"], "rows")

    def _rows_of_shape(self, rows: np.ndarray, shape: Any, what: str) -> np.ndarray:
        shape = tuple(shape)
        if rows.dtype == object:
            rows = _as_numbers(rows, what)
        if rows.shape[1:] == shape:
            return rows
        if rows.ndim != 2 or rows.shape[1] != int(np.prod(shape)):
            raise _refusal(
                f"{what} must have shape {shape} each; got {tuple(rows.shape[1:])}"
            )
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
            raise _refusal(
                f"columns {missing} are missing; the model takes {len(columns)} columns"
            )
        text = self.spec["text_columns"]
        changed: dict[str, Any] = {
            name: self._categories(data[name])
            if name in text
            else _measured(data[name])
            for name in columns
        }
        return data.assign(**changed)

    def _categories(self, column: pd.Series) -> pd.Series:
        plain = column.astype(object).map(_as_category).astype(object)
        known = self.spec["categories"].get(column.name)
        if known is not None:
            unknown = np.flatnonzero(plain.notna() & ~plain.isin(known))
            if len(unknown):
                word, listed = plain.iloc[unknown[0]], ", ".join(map(repr, known[:20]))
                raise _refusal(
                    f"column {column.name!r}: {word!r} (row {unknown[0]}) is none of "
                    f"the {len(known)} categories the model knows: {listed}"
                    f"{', …' if len(known) > 20 else ''}." + _nearest(word, known)
                )
        return plain

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


def _refusal(message: str) -> MlflowException:
    """An error that MLflow's server answers with code 400 and this message."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


def _measured(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    wrong = np.flatnonzero(numbers.isna() & column.notna())
    if len(wrong):
        raise _refusal(
            f"column {column.name!r} must hold numbers; got "
            f"{column.iloc[wrong[0]]!r} (row {wrong[0]})"
        )
    return numbers


def _as_numbers(rows: np.ndarray, what: str) -> np.ndarray:
    try:
        plain = np.array(rows.tolist())
    except ValueError as error:
        raise _refusal(f"{what} are ragged: they differ in shape") from error
    if plain.dtype.kind not in "fiub":
        plain = pd.DataFrame(rows.reshape(len(rows), -1)).apply(_measured).to_numpy()
    return plain


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _as_category(value: Any) -> Any:
    """Write a category as training did: 1, 1.0 and "1" are the same one."""
    if pd.isna(value):
        return np.nan
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)


mlflow.models.set_model(ServedModel())
