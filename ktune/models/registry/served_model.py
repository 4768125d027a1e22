"""The code of a registered model, which predicts raw rows with Keras.

MLflow stores this file with the model and runs it when the model is loaded. It stands
alone: loading needs Keras, NumPy, pandas and skops, but not ktune. Classes and
functions of the user stand in the folder ``code`` of the version.
"""

import difflib
import importlib
import json
import sys
import warnings
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
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
        path = Path(context.artifacts["spec"])
        self.spec = json.loads(path.read_text("utf-8"))
        self.model = load_keras_model(path.parent, self.spec)
        self.fixed_batch_size = _fixed_batch_size(self.model)
        self.decoder = _decoder(path.parent.parent / "code", self.spec)
        self.transformer = None
        if "transformer" in context.artifacts:
            file = Path(context.artifacts["transformer"])
            code = path.parent.parent / "code"
            self.transformer = load_transformer(file, code, self.spec)

    # Annotated, because MLflow warns about predict functions without type hints.
    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> Any:
        """Return the outputs of the Keras model for raw rows; several by name."""
        if self.spec.get("table_input"):
            features: Any = self._table_and_images(model_input)
        elif self.spec["input_names"]:
            features = self._named_inputs(model_input)
        elif self.spec["columns"]:
            features = self._numbers(self._table(model_input))
        else:
            features = self._numbers(self._array(model_input))
        return self._named_outputs(self._outputs(features))

    def _named_outputs(self, outputs: Any) -> Any:
        import keras

        flat = [np.asarray(part) for part in keras.tree.flatten(outputs)]
        names = self.spec.get("output_names") or []
        return dict(zip(names, flat, strict=True)) if names else flat[0]

    def _outputs(self, features: Any) -> Any:
        parts = features.values() if isinstance(features, dict) else [features]
        batch_size = self.spec["batch_size"]
        if self.fixed_batch_size:
            return _predict_in_batches(self.model, features, self.fixed_batch_size)
        if 0 < max(map(len, parts)) <= batch_size:
            # The same computation without a data pipeline, which takes ten times as
            # long as the model for a single row.
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

    def raw_inputs(self, rows: pd.DataFrame) -> dict[str, Any]:
        """Return the table and the decoded images of rows with both."""
        name = self.spec["images_input"]
        if name not in rows:
            raise _refusal(f"column {name!r} is missing; {self._images_wanted}")
        images = [self._image(*cell) for cell in enumerate(rows[name])]
        table = self._table(rows.drop(columns=name))
        shape = tuple(self.spec["input_shape"][name])
        pixels = np.reshape(np.array(images, np.uint8), (len(images), *shape))
        return {self.spec["table_input"]: table, name: pixels}

    def _table_and_images(self, data: Any) -> dict[str, np.ndarray]:
        raw = self.raw_inputs(data)
        table, images = self.spec["table_input"], self.spec["images_input"]
        scale = self.spec["images_scale"]
        pixels = raw[images]
        if scale is not None:
            pixels = pixels.astype(np.float32) * np.float32(scale)
        return {table: self._numbers(raw[table]), images: pixels}

    def _image(self, row: int, cell: Any) -> np.ndarray:
        height, width, channels = self.spec["input_shape"][self.spec["images_input"]]
        form = self.decoder.ImageForm(height, width, channels == 1)
        try:
            pixels: np.ndarray = self.decoder.decode_cell(cell, form)
        except self.decoder.BadImage as error:
            name = self.spec["images_input"]
            raise _refusal(
                f"column {name!r}, row {row}: {error}; {self._images_wanted}"
            ) from error
        return pixels

    @property
    def _images_wanted(self) -> str:
        shape = tuple(self.spec["input_shape"][self.spec["images_input"]])
        return (
            "give each row the content of an image file as base64 text, or an array of "
            f"pixels from 0 to 255 of shape {shape}"
        )

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
        with np.errstate(over="ignore"):
            floats = numbers.astype(np.float32)
        _refuse_too_large(numbers, floats)
        return floats


def _decoder(code: Path, spec: Mapping[str, Any]) -> Any:
    """Return the module that decodes images; None if the model takes none."""
    name = spec.get("decoder")
    return _import_from(code, [name])[name] if name else None


def load_transformer(file: Path, code: Path, spec: Mapping[str, Any]) -> Any:
    """Return a fitted scikit-learn transformer.

    Args:
        file: Its file, written by skops.
        code: Folder of the modules that came with it.
        spec: Trusted types, recorded when it was saved; and the modules of the user
            to the names under which they are imported from the folder.
    """
    import skops.io

    modules = spec.get("transformer_modules") or {}
    found = _import_from(code, set(modules.values())) if modules else {}
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update({name: found[path] for name, path in modules.items()})
    try:
        return skops.io.load(file, trusted=spec["trusted_types"])
    finally:
        sys.modules.update(before)


def load_keras_model(
    parts: Path, spec: Mapping[str, Any], *, is_compiled: bool = False
) -> Any:
    """Return the Keras model of a version, with the classes that came with it.

    Args:
        parts: Folder of the parts, beside that of the code.
        spec: See `ktune.models.registry.packaging`.
        is_compiled: Load loss, metrics and optimizer too, where they are stored.
    """
    import keras

    code = parts.parent / "code"
    if rebuilding := spec.get("rebuild"):
        module = _import_from(code, [rebuilding["module"]])[rebuilding["module"]]
        return _rebuilt(module, rebuilding, parts)
    with keras.saving.custom_object_scope(
        import_objects(code, spec.get("custom_objects") or {})
    ):
        return keras.saving.load_model(parts / "model.keras", compile=is_compiled)


def import_objects(code: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the classes and functions that came with a model.

    Args:
        code: Folder of the modules.
        wanted: The name Keras asks for, to module and name there.
    """
    if not wanted:
        return {}
    modules = _import_from(code, {module for module, _ in wanted.values()})
    return {
        key: _named(modules[module], name) for key, (module, name) in wanted.items()
    }


def _import_from(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """Import modules from a folder, not others of the same names loaded before."""
    import keras

    files = folder.rglob("*.py")
    roots = {file.relative_to(folder).parts[0].removesuffix(".py") for file in files}
    loaded = [name for name in sys.modules if name.partition(".")[0] in roots]
    before = {name: sys.modules.pop(name) for name in loaded}
    registered = dict(keras.saving.get_custom_objects())
    path, writes_no_bytecode = list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        return {name: importlib.import_module(name) for name in names}
    finally:
        sys.path[:], sys.dont_write_bytecode = path, writes_no_bytecode
        # Those of a model opened earlier are lost with its folder.
        sys.modules.update(filter(_has_file, before.items()))
        keras.saving.get_custom_objects().update(registered)


def _has_file(item: tuple[str, Any]) -> bool:
    file = getattr(item[1], "__file__", None)
    return file is None or Path(file).exists()


def _named(module: Any, name: str) -> Any:
    return reduce(getattr, name.split("."), module)


def _rebuilt(module: Any, how: Mapping[str, Any], parts: Path) -> Any:
    """Build the model again by the user's ``build``, and load its weights."""
    import keras
    import keras_tuner

    build = _named(module, how["build"])
    # A HyperModel has a method `build`.
    if hasattr(build, "build") and not isinstance(build, type):
        build = build.build
    hp = keras_tuner.HyperParameters()
    hp.values = dict(how["values"])
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(how["dtype_policy"])
    try:
        model = build(hp, _description(how["data"])) if how["data"] else build(hp)
    finally:
        keras.config.set_dtype_policy(policy)
    rows = {
        name: np.zeros(shape, dtype) for name, (shape, dtype) in how["rows"].items()
    }
    features = rows[""] if list(rows) == [""] else rows
    model.predict_on_batch(features)  # makes the weights of a subclassed model
    if how["units"]:
        model = _in_units(model, how["units"], features)
    model.load_weights(parts / "model.weights.h5")
    return model


def _fixed_batch_size(model: Any) -> int | None:
    """Return the batch size a model is built for, such as a stateful RNN."""
    inputs = getattr(model, "inputs", None) or []
    size = inputs[0].shape[0] if inputs else None
    if size is None or _takes_batch_of(model, size + 1):
        return None
    return int(size)


def _takes_batch_of(model: Any, size: int) -> bool:
    """Whether a model takes a batch that is larger than its inputs say.

    Keras writes the size of the first batch into a Sequential model without an Input
    layer, though the model takes any size.
    """
    import keras

    layers = model._flatten_layers(include_self=False)
    if any(getattr(layer, "stateful", False) for layer in layers):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a list where inputs have names
            rows = [
                np.zeros([size, *(n or 1 for n in part.shape[1:])], part.dtype)
                for part in model.inputs
            ]
            outputs = model(rows if len(rows) > 1 else rows[0], training=False)
    except Exception:  # of any layer, in words of its own
        return False
    return bool(keras.tree.flatten(outputs)[0].shape[0] == size)


def _predict_in_batches(model: Any, features: Any, size: int) -> np.ndarray:
    """Return the outputs in batches of a fixed size, each from fresh states."""
    parts = features.values() if isinstance(features, dict) else [features]
    n_rows, outputs = max(map(len, parts)), []
    for start in range(0, n_rows, size):
        rows = np.minimum(np.arange(start, start + size), n_rows - 1)
        for layer in model._flatten_layers(include_self=False):
            if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
                layer.reset_state()
        batch = (
            {name: part[rows] for name, part in features.items()}
            if isinstance(features, dict)
            else features[rows]
        )
        outputs.append(np.asarray(model.predict_on_batch(batch)))
    return np.concatenate(outputs)[:n_rows]


def _in_units(model: Any, units: Mapping[str, Any], features: Any) -> Any:
    """Add the layer that undoes the scaling of targets, as the search did."""
    import keras

    layer = keras.layers.Rescaling(**units, name="target_units")
    if getattr(model, "inputs", None):
        return keras.Model(model.inputs, layer(model.outputs[0]), name=model.name)
    whole = keras.Sequential([model, layer], name=model.name)
    whole.predict_on_batch(features)
    return whole


def _description(data: Mapping[str, Any]) -> Any:
    """Return the description of the data, as a ``build(hp, data)`` takes it."""
    try:
        from ktune.data.dataset import DataDescription, Task
    except ImportError:
        return SimpleNamespace(**data)
    shape = data["input_shape"]
    is_several = isinstance(shape, dict)
    as_tuples = {name: tuple(part) for name, part in shape.items()} if is_several else 0
    return DataDescription(
        **{
            **data,
            "task": Task(data["task"]),
            "input_shape": as_tuples or tuple(shape),
            "class_names": tuple(data["class_names"]),
            "target_shape": _as_shape(data.get("target_shape", ())),
        }
    )


def _as_shape(shape: Any) -> Any:
    """Return shapes of rows, which JSON has as lists, as tuples."""
    if isinstance(shape, dict):
        return {name: _as_shape(part) for name, part in shape.items()}
    is_plain = all(isinstance(length, int) for length in shape)
    return tuple(shape) if is_plain else [_as_shape(part) for part in shape]


def _refusal(message: str) -> MlflowException:
    """Return an error that MLflow's server answers with status 400 and the message."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


def _measured(column: pd.Series) -> pd.Series:
    try:
        numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    except OverflowError as error:
        message = f"column {column.name!r} has a number beyond 64 bits"
        raise _refusal(message) from error
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
        number = _first_ragged(rows)
        raise _refusal(
            f"{what} are ragged: row {number} has another shape than row 0, or its "
            "parts differ in shape"
        ) from error
    if plain.dtype.kind not in "fiub":
        plain = pd.DataFrame(rows.reshape(len(rows), -1)).apply(_measured).to_numpy()
    return plain


def _first_ragged(rows: np.ndarray) -> int:
    """Return the number of the first row that does not fit to row 0."""
    shapes: list[Any] = []
    for row in rows:
        try:
            shapes.append(np.shape(row))
        except ValueError:
            return len(shapes)
        if shapes[-1] != shapes[0]:
            break
    return len(shapes) - 1


def _refuse_too_large(numbers: np.ndarray, floats: np.ndarray) -> None:
    """Refuse numbers that are infinite only as floats of 32 bits."""
    is_infinite = np.isinf(floats)
    if not is_infinite.any():
        return
    wrong = np.argwhere(is_infinite & np.isfinite(numbers.astype(np.float64)))
    if len(wrong):
        raise _refusal(f"a number of row {wrong[0][0]} is too large for 32 bits")


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _as_category(value: Any) -> Any:
    """Return a category as text, like training: 1, 1.0 and "1" are equal."""
    if pd.isna(value):
        return np.nan
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)


mlflow.models.set_model(ServedModel())
