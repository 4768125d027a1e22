"""Rebuild the context of an earlier search from its records in MLflow.

The recorded sources are written to a temporary folder and loaded from there, so the
working copy may have changed or been deleted.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ktune.data import load_data
from ktune.data.dataset import Dataset, take_rows
from ktune.data.folds import Fold, Partition, split, split_weights
from ktune.errors import DataError, ExperimentError, KtuneError
from ktune.evaluation.context import SearchContext, make_context
from ktune.experiment.experiment import Experiment, override
from ktune.experiment.loading import MODULE_PREFIX, load_experiment
from ktune.tracking import names
from ktune.tracking.artifacts import read_arrays, read_file, read_folder, read_json
from ktune.tracking.reader import RunView
from ktune.tracking.store import Store
from ktune.utils.runtime import set_determinism


@dataclass(frozen=True, eq=False)
class RecordedSearch:
    """Records of a search in MLflow, apart from its trials.

    Attributes:
        view: The parent run.
        sources: Name to content of the experiment file and its local modules.
        entry: File and variable to load the experiment from, and their paths.
        changes: Fields of the experiment replaced by options.
        left_out: Replaced fields whose values could not be recorded.
        folds: Row positions, as `ktune.tracking.search_logger.folds_arrays` names them.
        environment: Versions and machine.
        data_digest: Hash of the data.
    """

    view: RunView
    sources: Mapping[str, bytes]
    entry: Mapping[str, Any]
    changes: Mapping[str, Any]
    left_out: tuple[str, ...]
    folds: Mapping[str, np.ndarray]
    environment: Mapping[str, Any]
    data_digest: str


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A rebuilt search.

    Attributes:
        context: The context of the search.
        dataset: The present data.
        is_same_data: Whether their digest is the recorded one.
        has_recorded_folds: Whether the folds are the recorded ones; they are split
            again if the data have another number of rows.
    """

    context: SearchContext
    dataset: Dataset
    is_same_data: bool
    has_recorded_folds: bool


def read_recorded(
    store: Store, search: RunView, trial: int | None = None
) -> RecordedSearch:
    """Read the records of a search from MLflow.

    Args:
        store: The store of the search.
        search: The parent run.
        trial: Number of the trial whose sources to read, if the search was resumed
            with changed sources; None: those of the last trials.

    Raises:
        StoreError: An artifact is missing or not readable.
    """
    run_id = search.run_id
    record = read_json(store, search, names.SEARCH_FILE)
    content = read_file(store, run_id, names.FOLDS_FILE)
    folder, entry = names.SOURCE_FOLDER, record.get("entry") or {}
    later = _later_sources(store, run_id, trial)
    if later is not None:
        folder, entry = later, read_json(store, search, f"{later}.json")
    return RecordedSearch(
        view=search,
        sources=read_folder(store, run_id, folder),
        entry=entry,
        changes=record.get("changes") or {},
        left_out=tuple(record.get("changes_left_out") or ()),
        folds=read_arrays(content, names.FOLDS_FILE, run_id),
        environment=read_json(store, search, names.ENVIRONMENT_FILE),
        data_digest=search.tags.get(names.DATA_DIGEST, ""),
    )


def _later_sources(store: Store, run_id: str, trial: int | None) -> str | None:
    """Return the folder of the changed sources of a resumed search at a trial."""
    prefix = names.LATER_SOURCES
    paths = [item.path for item in store.client.list_artifacts(run_id) if item.is_dir]
    firsts = [int(p.removeprefix(prefix)) for p in paths if p.startswith(prefix)]
    earlier = [first for first in firsts if trial is None or first <= trial]
    return f"{prefix}{max(earlier)}" if earlier else None


def _recorded_name(search: RunView) -> dict[str, str]:
    """Return the change to the recorded name: models are registered under it."""
    name = search.tags.get(names.EXPERIMENT)
    return {} if name is None else {"name": name}


@contextlib.contextmanager
def rebuild(
    recorded: RecordedSearch,
    *,
    experiment: Experiment | None = None,
) -> Iterator[Rebuilt]:
    """Rebuild an earlier search; its sources are importable inside the block.

    Args:
        recorded: Records of the search.
        experiment: Replaces the recorded sources for a search that was started from
            Python, which has none.

    Raises:
        ExperimentError: There are no sources, or they do not run here.
        DataError: The data are missing or not readable.
    """
    with contextlib.ExitStack() as stack:
        if experiment is None:
            experiment = stack.enter_context(_loaded(recorded))
        experiment = override(
            experiment, {**recorded.changes, **_recorded_name(recorded.view)}
        )
        set_determinism(experiment.deterministic)
        dataset = _load(experiment)
        partition = recorded_partition(recorded.folds, dataset)
        has_recorded_folds = partition is not None
        if partition is None:
            partition = split(
                dataset,
                cv=experiment.cv,
                test_size=experiment.test_size,
                seed=experiment.seed,
                stratify=experiment.stratify,
            )
        yield Rebuilt(
            context=make_context(experiment, dataset, partition),
            dataset=dataset,
            is_same_data=dataset.digest == recorded.data_digest,
            has_recorded_folds=has_recorded_folds,
        )


def recorded_partition(
    arrays: Mapping[str, np.ndarray], dataset: Dataset
) -> Partition | None:
    """Split data as recorded; None if the number of rows differs.

    Args:
        arrays: ``rows``, ``test_rows``, ``train<k>``, ``validation<k>``.
        dataset: The present data.
    """
    rows, test_rows = arrays["rows"], arrays.get("test_rows")
    n_rows = len(rows) + (0 if test_rows is None else len(test_rows))
    if n_rows != dataset.n_rows:
        return None
    n_folds = sum(name.startswith("validation") for name in arrays)
    folds = tuple(
        Fold(
            index,
            arrays[f"train{index}"].astype(np.int64),
            arrays[f"validation{index}"].astype(np.int64),
        )
        for index in range(n_folds)
    )
    x_test, y_test = dataset.x_test, dataset.y_test
    if test_rows is not None:
        x_test, y_test = take_rows(dataset.x, test_rows), dataset.y[test_rows]
    weights, weights_test = split_weights(dataset, rows, test_rows)
    return Partition(
        x=dataset.x if test_rows is None else take_rows(dataset.x, rows),
        y=dataset.y[rows],
        folds=folds,
        rows=rows,
        x_test=x_test,
        y_test=y_test,
        test_rows=test_rows,
        groups=None if dataset.groups is None else dataset.groups[rows],
        in_time_order=dataset.times is not None,
        weights=weights,
        weights_test=weights_test,
    )


def _load(experiment: Experiment) -> Dataset:
    try:
        return load_data(experiment.data, name=experiment.name, task=experiment.task)
    except KtuneError:
        raise
    except Exception as error:
        raise DataError(
            f"the data of {experiment.name!r} cannot be read again: "
            f"{type(error).__name__}: {error}"
        ) from error


@contextlib.contextmanager
def _loaded(recorded: RecordedSearch) -> Iterator[Experiment]:
    """Load the experiment from its recorded sources."""
    if recorded.entry.get("file") not in recorded.sources:
        raise ExperimentError(
            f"search {recorded.view.run_id[:8]} was started from Python, so MLflow "
            "has no experiment file of it. Pass the experiment: "
            "ktune.reproduce(RUN, experiment=...)"
        )
    with tempfile.TemporaryDirectory(prefix="ktune-") as name:
        folder = Path(name)
        write_sources(folder, recorded)
        entry = recorded.entry
        with _imports_from(folder, recorded.sources):
            try:
                reference = f"{folder / entry['file']}:{entry['variable']}"
                yield load_experiment(reference).experiment
            except ExperimentError as error:
                message = str(error).replace(f"{folder}{os.sep}", "(recorded) ")
                raise ExperimentError(message) from error


def write_sources(folder: Path, recorded: RecordedSearch) -> None:
    """Write the recorded sources, and link other files beside the original.

    Experiment files often locate data files relative to themselves. Modules are not
    linked, because all imported ones are recorded.
    """
    for name, content in recorded.sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    original = recorded.entry.get("paths", {}).get(recorded.entry["file"])
    if original and Path(original).parent.is_dir():
        _link_others(Path(original).parent, folder)


def _link_others(original: Path, copy: Path) -> None:
    for path in original.iterdir():
        twin = copy / path.name
        if twin.is_dir() and path.is_dir():
            _link_others(path, twin)
        elif not twin.exists() and path.suffix != ".py" and path.name != "__pycache__":
            with contextlib.suppress(OSError):  # a system without symbolic links
                twin.symlink_to(path.resolve(), target_is_directory=path.is_dir())


@contextlib.contextmanager
def _imports_from(folder: Path, sources: Mapping[str, bytes]) -> Iterator[None]:
    """Import the recorded modules instead of loaded modules with the same names."""
    roots = {PurePosixPath(name).parts[0].removesuffix(".py") for name in sources}

    def is_recorded(module: str) -> bool:
        root = module.partition(".")[0]
        return root in roots or root.startswith(MODULE_PREFIX)

    before = {
        name: sys.modules.pop(name) for name in [*filter(is_recorded, sys.modules)]
    }
    path = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        for name in [*filter(is_recorded, sys.modules)]:
            del sys.modules[name]
        sys.modules.update(before)
        sys.path[:] = path
