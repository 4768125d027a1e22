"""Real rows for comparisons: the test rows of the search, read from their source."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.dataset import Inputs, count_rows, take_rows
from ktune.errors import KtuneError
from ktune.evaluation.context import DEFAULT_OBJECTIVE
from ktune.evaluation.recorded import read_recorded, rebuild
from ktune.metrics.objectives import is_of_model
from ktune.models.prediction.fitting import load_rows
from ktune.models.registry.stored_model import StoredModel
from ktune.tracking import names
from ktune.tracking.reader import find_search
from ktune.tracking.store import Store

COMPARED_ROWS = 200
"""Number of compared rows, and of representative rows for quantisation."""


@dataclass(frozen=True, eq=False)
class ParityRows:
    """Untouched rows with their targets.

    Attributes:
        x: Raw features.
        y: Targets, as in ``Dataset.y``.
        metric: Objective of the search.
    """

    x: Inputs
    y: np.ndarray
    metric: str


@dataclass(frozen=True, eq=False)
class RealRows:
    """Raw rows of the kind a model was trained on.

    Attributes:
        compared: Rows on which an exported model must agree with the registered one.
        representative: Rows with representative numbers, for quantisation.
        origin: Their origin, as text for the user.
        test: The test set with its targets; None if not available.
    """

    compared: Inputs
    representative: Inputs
    origin: str
    test: ParityRows | None = None


def find_real_rows(store: Store, model: StoredModel, given: Path | None) -> RealRows:
    """Return rows to compare on.

    Args:
        store: The store of the model's search.
        model: The registered model.
        given: A file or folder of rows; None: read the data of the search again, or
            use the recorded example rows if that fails.

    Raises:
        DataError: The given rows do not match the model.
    """
    if given is not None:
        rows = load_rows(given, model.spec, None).rows
        return _plain_rows(rows, f"rows of {given}")
    run_id = model.found.tags.get(names.SEARCH_RUN)
    if run_id is None:
        return _recorded_rows(model, "no search is recorded with the model")
    try:
        return _rows_of_search(store, run_id, model)
    except KtuneError as error:
        return _recorded_rows(model, str(error))


def _rows_of_search(store: Store, run_id: str, model: StoredModel) -> RealRows:
    search = find_search(store, run_id)
    with rebuild(read_recorded(store, search)) as rebuilt:
        dataset, partition = rebuilt.dataset, rebuilt.context.partition
        representative = spread(partition.x, COMPARED_ROWS)
        changed = (
            "" if rebuilt.is_same_data else ", which have changed since the search"
        )
        if partition.x_test is None or partition.y_test is None:
            origin = f"training rows of {dataset.name}{changed}"
            return RealRows(representative, representative, origin)
        metric = search.objective.metric
        if is_of_model(metric):
            metric = DEFAULT_OBJECTIVE[model.task]
        return RealRows(
            compared=_filled_up(partition.x_test, partition.x),
            representative=representative,
            origin=f"rows of {dataset.name}{changed}",
            test=ParityRows(partition.x_test, partition.y_test, metric),
        )


def _recorded_rows(model: StoredModel, reason: str) -> RealRows:
    rows = model.example
    if model.spec.get("table_input"):
        rows = model.code.raw_inputs(rows)
    elif isinstance(rows, Mapping):
        rows = {name: _as_numbers(part) for name, part in rows.items()}
    elif not isinstance(rows, pd.DataFrame):
        rows = _as_numbers(rows)
    return _plain_rows(rows, f"rows recorded with the model ({reason})")


def _as_numbers(rows: Any) -> np.ndarray:
    """Return an array; MLflow reads rows of several inputs back as Python objects."""
    array = np.asarray(rows)
    return np.array(array.tolist()) if array.dtype == object else array


def _plain_rows(rows: Any, origin: str) -> RealRows:
    some = spread(rows, COMPARED_ROWS)
    return RealRows(compared=some, representative=some, origin=origin)


def _filled_up(test: Inputs, others: Inputs) -> Inputs:
    """Return test rows, and other rows if there are too few."""
    lacking = COMPARED_ROWS - count_rows(test)
    if lacking <= 0:
        return spread(test, COMPARED_ROWS)
    return _one_after_another(test, spread(others, lacking))


def _one_after_another(test: Any, more: Any) -> Any:
    if isinstance(test, pd.DataFrame):
        return pd.concat([test, more], ignore_index=True)
    if isinstance(test, Mapping):
        return {name: _one_after_another(test[name], more[name]) for name in test}
    return np.concatenate([np.asarray(test), np.asarray(more)])


def spread(rows: Inputs, at_most: int) -> Inputs:
    """Return at most a number of evenly spaced rows."""
    n_rows = count_rows(rows)
    size = min(n_rows, at_most)
    return take_rows(rows, np.linspace(0, n_rows - 1, size).astype(np.int64))
