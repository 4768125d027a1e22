"""How the Keras model of a version is stored: whole, or as weights to build again."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktune.data.dataset import take_rows
from ktune.data.fixed_batch import fixed_batch_size
from ktune.errors import ModelLost
from ktune.evaluation.model_builder import ModelBuilder, takes_data
from ktune.experiment.experiment import Experiment
from ktune.experiment.model_code import ModelCode, collect_code, import_name, is_entry
from ktune.models.registry.custom_objects import (
    CustomObject,
    config_of,
    find_custom_objects,
    obstacle,
)
from ktune.models.registry.packaged_model import PackagedModel


@dataclass(frozen=True, eq=False)
class Storage:
    """How to store a model.

    Attributes:
        file: Name of its file.
        save: Writes it to a path.
        code: Code that must be importable.
        spec: Specification for the served code, see `served_model.load_keras_model`.
        packages: Further requirements.
    """

    file: str
    save: Callable[[Path], Any]
    code: ModelCode
    spec: Mapping[str, Any]
    packages: tuple[str, ...] = ()

    def write_code(
        self, folder: Path, preprocessing: Mapping[str, set[str]]
    ) -> list[str]:
        """Write the code into a folder; return the paths of its entries.

        Args:
            folder: An empty folder.
            preprocessing: Module to names that the preprocessing needs.
        """
        self.code.including(preprocessing).write(folder)
        return sorted(str(path) for path in folder.iterdir())


def ways_to_store(package: PackagedModel) -> Iterator[Callable[[], Storage]]:
    """Yield the ways to store a model, the best first; each may raise `ModelLost`."""
    yield lambda: _whole(package)
    yield lambda: _as_weights(package)


def why_not_whole(model: Any) -> str:
    """Return why a model cannot be stored whole; "" if it can."""
    try:
        whole_parts(model)
    except ModelLost as error:
        return str(error)
    return ""


def why_not_as_weights(builder: ModelBuilder) -> str:
    """Return why a model cannot be stored as weights; "" if it can."""
    try:
        _build_code(builder)
    except ModelLost as error:
        return str(error)
    return ""


def _whole(package: PackagedModel) -> Storage:
    """Store Keras's own file, and the classes it names.

    Raises:
        ModelLost: Keras could not load it.
    """
    model = package.fitted.model
    objects, code = whole_parts(model)
    spec = {"custom_objects": importable(objects)}
    return Storage("model.keras", model.save, code, spec)


def whole_parts(model: Any) -> tuple[tuple[CustomObject, ...], ModelCode]:
    """Return the custom objects in Keras's own file of a model, and their code.

    Raises:
        ModelLost: Keras could not load it.
    """
    import keras

    if not isinstance(model, keras.Model):  # it has a `save` of its own
        return (), ModelCode()
    if reason := obstacle(model):
        raise ModelLost(reason)
    config = config_of(model)  # large models take long to serialise
    objects = find_custom_objects(model, config)
    code = collect_code(_by_module(objects))
    if code.missing:
        raise ModelLost(f"{code.missing[0]}: move it to the top level of the file")
    everything = find_custom_objects(model, config, with_training=True)
    with_training = collect_code(_by_module(everything))
    # Predictions do not need the loss, so a loss without a file is left out.
    return (objects, code) if with_training.missing else (everything, with_training)


def importable(objects: Iterable[CustomObject]) -> dict[str, list[str]]:
    """Return the name Keras asks for, to module and name there, as JSON values."""
    return {o.key: [import_name(o.module), o.name] for o in objects}


def _by_module(objects: Iterable[CustomObject]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in objects:
        found.setdefault(item.module, set()).add(item.name)
    return found


def _as_weights(package: PackagedModel) -> Storage:
    """Store the weights, and how ``build`` makes the model they belong to.

    Raises:
        ModelLost: There is no ``build`` to import, or no single trial.
    """
    fitted, builder = package.fitted, package.builder
    if fitted.values is None or builder is None:
        raise ModelLost("an ensemble cannot be built again from the values of a trial")
    module, name, code = _build_code(builder)
    rebuild = {
        "module": import_name(module),
        "build": name,
        "values": dict(fitted.values),
        "data": _description(builder),
        "rows": _row_of_zeros(package),
        "units": _units(fitted.scaling),
        "dtype_policy": _dtype_policy(),
    }
    return Storage(
        "model.weights.h5",
        fitted.model.save_weights,
        code,
        {"rebuild": rebuild},
        packages=("keras-tuner", *(["ktune"] if code.needs_ktune else [])),
    )


def _build_code(builder: ModelBuilder) -> tuple[str, str, ModelCode]:
    found = _find_build(builder.experiment.build)
    if found is None:
        raise ModelLost(
            "`build` has no name in a file, by which it could be imported again: "
            "define it at the top level, `def build(hp): ...`"
        )
    module, name = found
    code = collect_code({module: {name}})
    if code.missing:
        raise ModelLost(code.missing[0])
    return module, name, code


def _find_build(build: Any) -> tuple[str, str] | None:
    """Return module and name of a ``build``."""
    module, name = getattr(build, "__module__", ""), getattr(build, "__qualname__", "")
    if name and "<" not in name and vars(sys.modules.get(module, sys)).get(name):
        return module, name
    for module in [name for name in sys.modules if is_entry(name)]:
        for name, value in list(vars(sys.modules[module]).items()):
            if value is build:
                return module, name
            if isinstance(value, Experiment) and value.build is build:
                return module, f"{name}.build"
    return None


def _description(builder: ModelBuilder) -> dict[str, Any] | None:
    """Return the description of the data as JSON; None: ``build`` takes none."""
    build = builder.experiment.build
    is_object = hasattr(build, "build") and not isinstance(build, type)
    if not takes_data(build.build if is_object else build):
        return None
    return {**asdict(builder.data), "task": builder.data.task.value}


def _row_of_zeros(package: PackagedModel) -> dict[str, Any]:
    """Return input name to shape and type of the smallest batch the model takes."""
    fitted = package.fitted
    row = fitted.preprocessing.transform(take_rows(package.example, np.arange(1)))
    parts = row if isinstance(row, Mapping) else {"": np.asarray(row)}
    batch = fixed_batch_size(fitted.model) or 1
    return {
        name: [[batch, *part.shape[1:]], str(part.dtype)]
        for name, part in parts.items()
    }


def _units(scaling: Any) -> dict[str, Any] | None:
    if scaling is None:
        return None
    return {"scale": scaling.deviation.tolist(), "offset": scaling.mean.tolist()}


def _dtype_policy() -> str:
    import keras

    return str(keras.config.dtype_policy().name)
