"""Real rows to compare on: the test rows of the search, read again from its source."""

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
"""So many rows are compared; and as many stand for the data when quantising."""


@dataclass(frozen=True, eq=False)
class ParityRows:
    """Untouched rows with their targets.

    Attributes:
        x: Raw features.
        y: Targets, as in ``Dataset.y``.
        metric: What the search judged by.
    """

    x: Inputs
    y: np.ndarray
    metric: str


@dataclass(frozen=True, eq=False)
class RealRows:
    """Raw rows of the kind a model was trained on.

    Attributes:
        compared: Rows on which an exported model must agree with the registered one.
        representative: Rows that tell the range of the numbers, for quantisation.
        origin: Where they come from, for the user.
        test: The test set with its targets; None where it is not to be had.
    """

    compared: Inputs
    representative: Inputs
    origin: str
    test: ParityRows | None = None


def find_real_rows(store: Store, model: StoredModel, given: Path | None) -> RealRows:
    """Return rows to compare on.

    Args:
        store: Where the search stands that has made the model.
        model: The registered model.
        given: A file or folder of rows to be taken; None: the data of the search are
            read again, and where that fails the rows recorded with the model serve.

    Raises:
        DataError: The rows given are not what the model takes.
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
    if not isinstance(rows, pd.DataFrame | Mapping):
        rows = np.asarray(rows)
    return _plain_rows(rows, f"rows recorded with the model ({reason})")


def _plain_rows(rows: Any, origin: str) -> RealRows:
    some = spread(rows, COMPARED_ROWS)
    return RealRows(compared=some, representative=some, origin=origin)


def _filled_up(test: Inputs, others: Inputs) -> Inputs:
    """Return test rows, and others where there are too few of them."""
    lacking = COMPARED_ROWS - count_rows(test)
    if lacking <= 0:
        return spread(test, COMPARED_ROWS)
    more = spread(others, lacking)
    if isinstance(test, pd.DataFrame) and isinstance(more, pd.DataFrame):
        return pd.concat([test, more], ignore_index=True)
    if isinstance(test, Mapping) and isinstance(more, Mapping):
        return {name: np.concatenate([test[name], more[name]]) for name in test}
    return np.concatenate([np.asarray(test), np.asarray(more)])


def spread(rows: Inputs, at_most: int) -> Inputs:
    """Return evenly spread rows, all of them if there are not more."""
    n_rows = count_rows(rows)
    size = min(n_rows, at_most)
    return take_rows(rows, np.linspace(0, n_rows - 1, size).astype(np.int64))
