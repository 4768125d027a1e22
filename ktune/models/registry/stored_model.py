"""A registered model, opened: what it is, its parts, and its ``predict``."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ktune.data.dataset import Task
from ktune.data.output_scale import scale_of_spec
from ktune.data.targets import as_predictions
from ktune.errors import StoreError
from ktune.metrics.threshold import cut_at
from ktune.models.registry.reference import FoundModel
from ktune.tracking.model_files import (
    downloaded,
    load_pyfunc,
    predict_rows,
    read_example,
    refuse_pickles,
)
from ktune.tracking.store import Store


@dataclass(frozen=True, eq=False)
class StoredModel:
    """The files of a model that ktune has registered.

    Attributes:
        found: Which model it is.
        folder: Its MLflow folder, for as long as it is open.
        spec: What the served code knows, see `ktune.models.registry.packaging`.
    """

    found: FoundModel
    folder: Path
    spec: Mapping[str, Any] = field(repr=False)

    @property
    def task(self) -> Task:
        """What it predicts."""
        return Task(self.spec["task"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of its outputs; empty for regression."""
        return tuple(self.spec["class_names"])

    @property
    def threshold(self) -> float | None:
        """From which probability on a row is positive; None: 0.5."""
        value = self.spec.get("threshold")
        return None if value is None else float(value)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table it takes; empty if it takes arrays."""
        return tuple(self.spec["columns"])

    def part(self, name: str) -> Path:
        """Path of a part: model, transformer or spec; it may not be there."""
        endings = {"model": ".keras", "transformer": ".skops", "spec": ".json"}
        return self.folder / "artifacts" / f"{name}{endings[name]}"

    @cached_property
    def served(self) -> Any:
        """MLflow's pyfunc: raw rows in, outputs out.

        Raises:
            StoreError: It cannot be loaded.
        """
        return load_pyfunc(self.folder, self.found.label)

    @property
    def code(self) -> Any:
        """The served code with its loaded parts: ``model`` and ``transformer``."""
        return self.served.unwrap_python_model()

    @property
    def example(self) -> Any:
        """The few raw rows that were recorded with it."""
        return read_example(self.folder)

    def as_predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs as `ktune.metrics.scores.compute_metrics` takes predictions.

        Raises:
            TrialFailed: They are not finite.
        """
        return as_predictions(outputs, self.task, scale=scale_of_spec(self.spec))

    def cut(self, predictions: np.ndarray) -> np.ndarray:
        """Return predictions bent so that a row is positive from 0.5 on."""
        if self.threshold is None:
            return predictions
        return cut_at(predictions, self.threshold)

    def predict(self, rows: Any) -> np.ndarray:
        """Return the model's outputs for raw rows.

        Raises:
            DataError: The rows are not what it takes.
        """
        return predict_rows(self.served, rows)


@contextlib.contextmanager
def open_model(store: Store, found: FoundModel) -> Iterator[StoredModel]:
    """Download a model and open it.

    Raises:
        StoreError: It cannot be read, ktune has not made it, or it is a pickle.
    """
    with downloaded(store, found.uri, found.label) as folder:
        spec = folder / "artifacts" / "spec.json"
        if not spec.is_file():
            raise StoreError(
                f"model {found.label} was not registered by ktune: its folder has no "
                "artifacts/spec.json. Load it by mlflow.pyfunc.load_model."
            )
        refuse_pickles(folder, found.label)
        content = json.loads(spec.read_text("utf-8"))
        yield StoredModel(found, folder, content)
