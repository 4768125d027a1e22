"""Package a refitted model, its preprocessing and its code as one MLflow model."""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ktune.data import image_pixels
from ktune.data.dataset import Inputs, Task, input_shape
from ktune.data.output_scale import OutputScale, output_scale
from ktune.data.table_and_images import (
    IMAGES,
    TABLE,
    as_request,
    has_table_beside,
    table_of,
)
from ktune.data.table_transformer import known_categories, text_columns
from ktune.evaluation.refit import PREDICT_BATCH, predict
from ktune.experiment.model_code import import_name
from ktune.models.registry.packaged_model import PackagedModel
from ktune.models.registry.storage import Storage
from ktune.models.registry.transformer_file import TransformerFile, dump_transformer
from ktune.tracking.model_files import InputSchema, ModelFolder

_CODE = Path(__file__).with_name("served_model.py")
DECODER = "ktune_image_pixels"
"""Module of the decoder of images, in the folder of the code."""

_MOST_COLUMNS = 100
_NEEDED = ("mlflow", "keras", "tensorflow", "numpy", "pandas", "scikit-learn", "skops")


def write_parts(package: PackagedModel, folder: Path, storage: Storage) -> ModelFolder:
    """Write the parts of a model into a folder; return what MLflow makes of them."""
    fitted, example = package.fitted, package.example
    code = folder / "code"
    code.mkdir()
    transformers = package.fitted.preprocessing.transformers
    file = dump_transformer(transformers[0]) if transformers else None
    decoder = _copy_decoder(example, code)
    return ModelFolder(
        code=_CODE,
        artifacts=_save_parts(package, folder, storage, file),
        code_paths=storage.write_code(code, {} if file is None else file.own),
        inputs=input_schema(example),
        outputs=predict(fitted.model, fitted.preprocessing, example),
        example=_input_example(example),
        requirements=requirements((*storage.packages, *decoder)),
    )


def _copy_decoder(example: Inputs, code: Path) -> tuple[str, ...]:
    """Copy the decoder of images, if the model needs it; return its packages."""
    if not has_table_beside(example):
        return ()
    source = Path(image_pixels.__file__)
    (code / f"{DECODER}.py").write_bytes(source.read_bytes())
    return ("pillow",)


def requirements(more: Sequence[str] = ()) -> list[str]:
    """Return what loading the model needs, in the versions installed here."""
    packages = (*_NEEDED, *more)
    return [f"{name}=={importlib.metadata.version(name)}" for name in packages]


def input_schema(example: Inputs) -> InputSchema:
    """Return a schema that accepts raw rows of any number type.

    MLflow refuses float64 for a float32 signature and integers for floats. Tables are
    therefore declared as columns of any type, other arrays as tensors of objects: the
    served code converts them as training did. Columns are named if some contain text;
    unnamed columns accept arrays as well as tables. Wide tables are tensors too,
    because MLflow checks columns at 2 µs per cell.
    """
    if has_table_beside(example):
        return InputSchema(columns=[*example[TABLE].columns, IMAGES])
    if isinstance(example, pd.DataFrame) and text_columns(example):
        return InputSchema(columns=[str(name) for name in example.columns])
    if isinstance(example, Mapping):
        return InputSchema(tensors=list(example))
    if example.ndim == 2 and example.shape[1] <= _MOST_COLUMNS:
        return InputSchema(n_columns=example.shape[1])
    return InputSchema()


def make_spec(
    package: PackagedModel, transformer: TransformerFile | None
) -> dict[str, Any]:
    """Return the specification for the served code, as JSON values."""
    preprocessing, example = package.fitted.preprocessing, package.example
    table = table_of(example)
    several, transformers = isinstance(example, Mapping), preprocessing.transformers
    n_outputs = len(package.class_names)
    scale = output_scale(package.fitted.model, package.task, n_outputs)
    return {
        "columns": [] if table is None else [str(name) for name in table.columns],
        "text_columns": [] if table is None else text_columns(table),
        "categories": known_categories(transformers[0]) if transformers else {},
        "input_names": list(example) if several else [],
        "output_names": _output_names(package),
        **(_beside_table(package) if has_table_beside(example) else {}),
        "input_shape": _row_shape(example),
        "input_type": _number_type(example),
        "scale": _plain(preprocessing.scale),
        "shift": _plain(preprocessing.shift),
        "keeps_integers": preprocessing.is_identity,
        "trusted_types": [] if transformer is None else list(transformer.trusted),
        "transformer_modules": {}
        if transformer is None
        else {module: import_name(module) for module in transformer.own},
        "task": package.task.value,
        "output_scale": scale.value,
        "returns_logits": scale is OutputScale.LOGITS,
        "class_names": list(package.class_names),
        # For users of the probabilities; `predict` does not apply the threshold.
        "threshold": None
        if package.fitted.threshold is None
        else package.fitted.threshold.value,
        "batch_size": PREDICT_BATCH,
        "reading": None if package.reading is None else dict(package.reading),
    }


def _beside_table(package: PackagedModel) -> dict[str, Any]:
    """Return the names of the inputs of a table and images, and how to decode these."""
    scale = package.fitted.preprocessing.part(IMAGES).scale
    return {
        "table_input": TABLE,
        "images_input": IMAGES,
        "images_scale": _plain(scale),
        "decoder": DECODER,
    }


def _save_parts(
    package: PackagedModel,
    folder: Path,
    storage: Storage,
    transformer: TransformerFile | None,
) -> dict[str, str]:
    """Write model, transformer and spec; return artifact name to path."""
    parts = {"model": folder / storage.file, "spec": folder / "spec.json"}
    storage.save(parts["model"])
    if transformer is not None:
        parts["transformer"] = folder / "transformer.skops"
        parts["transformer"].write_bytes(transformer.content)
    spec = {**make_spec(package, transformer), **storage.spec}
    parts["spec"].write_text(json.dumps(spec), "utf-8")
    return {name: str(path) for name, path in parts.items()}


def _output_names(package: PackagedModel) -> list[str]:
    """Return the names of several outputs; empty for one."""
    if package.task is not Task.CUSTOM:
        return []
    fitted = package.fitted
    outputs = predict(fitted.model, fitted.preprocessing, package.example)
    return list(outputs) if isinstance(outputs, Mapping) else []


def _row_shape(example: Inputs) -> Any:
    """Return the shape of a row as JSON: a list, or a list per input."""
    shape = input_shape(example)
    if isinstance(shape, Mapping):
        return {name: list(lengths) for name, lengths in shape.items()}
    return list(shape)


def _number_type(example: Inputs) -> str:
    """Return the number type of an array; "" for other inputs."""
    return str(example.dtype) if isinstance(example, np.ndarray) else ""


def _input_example(example: Inputs) -> Any:
    if has_table_beside(example):
        return as_request(example)
    return dict(example) if isinstance(example, Mapping) else example


def _plain(number: Any) -> Any:
    return None if number is None else np.asarray(number).tolist()
