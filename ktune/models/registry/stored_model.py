"""Open a registered model: its specification, parts and ``predict``."""

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
        found: The model in MLflow.
        folder: Its MLflow folder, valid while it is open.
        spec: Its specification, see `ktune.models.registry.packaging`.
    """

    found: FoundModel
    folder: Path
    spec: Mapping[str, Any] = field(repr=False)

    @property
    def task(self) -> Task:
        """Its task."""
        return Task(self.spec["task"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of its outputs; empty for regression."""
        return tuple(self.spec["class_names"])

    @property
    def threshold(self) -> float | None:
        """Decision threshold; None for 0.5."""
        value = self.spec.get("threshold")
        return None if value is None else float(value)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of its table; empty for a model of arrays."""
        return tuple(self.spec["columns"])

    def part(self, name: str) -> Path:
        """Return the path of a part: model, transformer or spec; it may not exist."""
        endings = {"model": ".keras", "transformer": ".skops", "spec": ".json"}
        return self.folder / "artifacts" / f"{name}{endings[name]}"

    @cached_property
    def served(self) -> Any:
        """MLflow's pyfunc, which maps raw rows to outputs.

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
        """The raw rows that were recorded as its input example."""
        return read_example(self.folder)

    def as_predictions(self, outputs: Any) -> Any:
        """Return outputs in the form of `ktune.metrics.scores.compute_metrics`.

        Raises:
            TrialFailed: They are not finite.
        """
        return as_predictions(outputs, self.task, scale=scale_of_spec(self.spec))

    def cut(self, predictions: np.ndarray) -> np.ndarray:
        """Return predictions shifted so that the threshold becomes 0.5."""
        if self.threshold is None:
            return predictions
        return cut_at(predictions, self.threshold)

    def predict(self, rows: Any) -> Any:
        """Return the model's outputs for raw rows; several outputs by name.

        Raises:
            DataError: The rows do not match its schema.
        """
        return predict_rows(self.served, rows)


@contextlib.contextmanager
def open_model(store: Store, found: FoundModel) -> Iterator[StoredModel]:
    """Download a model and open it.

    Raises:
        StoreError: It is not readable, not made by ktune, or a pickle.
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
