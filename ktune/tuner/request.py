"""The request of a search: its file, options, and the search to resume."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from ktune.data.assembly import weights_as_text
from ktune.experiment.environment import read_environment, read_git_state
from ktune.experiment.loading import LoadedExperiment
from ktune.experiment.sources import find_sources, read_sources
from ktune.searchers.database import shown
from ktune.tracking.refit_record import resume_command
from ktune.tracking.search_logger import SearchStart
from ktune.tuner.preflight import Preflight
from ktune.tuner.resume import Past


@dataclass(frozen=True, eq=False)
class Request:
    """Request of a search.

    Attributes:
        loaded: The experiment with its file; None for an experiment from Python.
        changes: Fields of the experiment replaced by options.
        past: The search to resume; None for a new search.
        ensemble: Method of the final ensemble; None for no ensemble.
        storage: Database of the study; None for a file beside the store.
        is_smoke_test: Whether the search only tries whether the experiment runs.
        register: Whether the model of a smoke test is registered.
    """

    loaded: LoadedExperiment | None
    changes: Mapping[str, Any] = field(default_factory=dict)
    past: Past | None = None
    ensemble: str | None = None
    storage: URL | None = None
    is_smoke_test: bool = False
    register: bool = False

    @property
    def registers(self) -> bool:
        """Whether the model is registered at the end."""
        return self.register or not self.is_smoke_test

    @property
    def shown_storage(self) -> str:
        """The address of the database without its password; "" if there is none."""
        return "" if self.storage is None else shown(self.storage)

    @property
    def command(self) -> str:
        """The command that starts the search, without options."""
        if self.loaded is None:
            return "ktune.search(experiment)"
        path = self.loaded.path
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return f"ktune search {path}:{self.loaded.variable}"

    def resume_command(self, run_id: str) -> str:
        """Return the command that resumes a search."""
        return resume_command(self.command, run_id, self.shown_storage)

    def start(self, checked: Preflight) -> SearchStart:
        """Return the facts to record before the first trial."""
        loaded = self.loaded
        dataset, partition = checked.dataset, checked.context.partition
        files = find_sources(loaded.path) if loaded else {}
        return SearchStart(
            experiment=checked.context.experiment,
            goal=checked.context.goal,
            data={
                "name": dataset.name,
                "digest": dataset.digest,
                "task": dataset.task.value,
                "kind": dataset.kind.value,
                "n_rows": len(partition.y),
                "n_test_rows": 0 if partition.y_test is None else len(partition.y_test),
                "n_outputs": dataset.n_outputs,
                "row_weights": weights_as_text(partition.weights),
                "input_shape": checked.context.data.input_shape,
            },
            partition=partition,
            class_names=dataset.class_names,
            environment=read_environment(),
            sources=read_sources(files),
            entry=_entry(loaded, files) if loaded else {},
            git=read_git_state(loaded.path.parent) if loaded else {},
            command=self.command,
            changes={**self.changes, **checked.settled},
            storage=self.shown_storage,
            is_smoke_test=self.is_smoke_test,
        )


def _entry(loaded: LoadedExperiment, files: Mapping[str, Path]) -> Mapping[str, Any]:
    """Return the file and variable of the experiment, and the paths of its sources."""
    return {
        "file": loaded.path.name,
        "variable": loaded.variable,
        "paths": {name: str(path) for name, path in files.items()},
    }
