"""Load an experiment from a Python file: ``FILE`` or ``FILE:NAME``."""

import importlib.util
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ktune.errors import ExperimentError, KtuneError
from ktune.experiment.experiment import Experiment
from ktune.utils.text import did_you_mean

MODULE_PREFIX = "ktune_experiment_"


@dataclass(frozen=True, eq=False)
class LoadedExperiment:
    """An experiment with its file and variable."""

    experiment: Experiment
    path: Path
    variable: str
    """Name of the variable of the module."""


def load_experiment(reference: str) -> LoadedExperiment:
    """Run an experiment file and return the experiment it defines.

    Args:
        reference: Path of a Python file, optionally followed by ``:NAME`` of the
            variable or experiment if the file has several.

    Raises:
        ExperimentError: The file is missing or does not run, or the reference is
            ambiguous.
    """
    path, name = _split_reference(reference)
    module = _run_file(path)
    experiments = {
        variable: value
        for variable, value in vars(module).items()
        if isinstance(value, Experiment)
    }
    variable = _choose(experiments, name, path)
    return LoadedExperiment(experiments[variable], path.resolve(), variable)


def _split_reference(reference: str) -> tuple[Path, str | None]:
    path, wanted = Path(reference), None
    file, colon, name = reference.rpartition(":")
    if colon and file and not os.path.exists(path):
        path, wanted = Path(file), name
    if not os.path.exists(path):  # a Path raises for names no file can have
        folder = path.parent if path.parent.is_dir() else Path()
        near = [str(folder / p.name) for p in folder.glob("*.py")]
        raise ExperimentError(
            f"there is no file {str(path)!r}." + did_you_mean(str(path), near)
        )
    if path.is_dir() or path.suffix != ".py":
        raise ExperimentError(f"{str(path)!r} is not a Python file (.py).")
    return path, wanted


def _run_file(path: Path) -> ModuleType:
    """Import the file as a module, with its folder in ``sys.path``."""
    name = MODULE_PREFIX + path.stem.replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ExperimentError(f"{path}: Python cannot load this file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except KtuneError as error:
        raise type(error)(f"{path}{line_in(path, error)}: {error}") from error
    except (Exception, SystemExit) as error:
        raise ExperimentError(_what_happened(path, error)) from error
    return module


def _what_happened(path: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        # The error may be in a local module that the file imports.
        file = path if _is_same(error.filename, path) else error.filename
        return f"{file}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}"
    return f"{path}{line_in(path, error)}: {type(error).__name__}: {error}"


def line_in(path: Path, error: BaseException) -> str:
    """Return ", line N" for the last line of the file in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if _is_same(frame.filename, path)]
    return f", line {lines[-1]}" if lines else ""


def _is_same(file: str | None, path: Path) -> bool:
    return file is not None and Path(file).resolve() == path.resolve()


def _choose(experiments: dict[str, Experiment], name: str | None, path: Path) -> str:
    if not experiments:
        raise ExperimentError(
            f"{path}: defines no experiment. Add for instance "
            "`experiment = ktune.Experiment(name=..., data=..., build=...)`."
        )
    names = ", ".join(experiments)
    if name is None:
        distinct = set(experiments.values())
        if len(distinct) == 1:
            return next(iter(experiments))
        raise ExperimentError(
            f"{path}: defines {len(distinct)} experiments: {names}. "
            f"Say which, for instance {path}:{next(iter(experiments))}"
        )
    by_name = {experiment.name: v for v, experiment in experiments.items()}
    if name in experiments or name in by_name:
        return name if name in experiments else by_name[name]
    raise ExperimentError(
        f"{path}: defines no experiment {name!r}. Known: {names}."
        + did_you_mean(name, [*experiments, *by_name])
    )
