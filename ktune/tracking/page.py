"""Columns and expanded rows of a search in MLflow's web page."""

import json
from collections.abc import Sequence
from typing import Any

from ktune.tracking import names
from ktune.tracking.reader import RunView, list_searches, list_trials
from ktune.tracking.store import Store

_MAX_PARAMS = 6
_LEADING = (
    "val_accuracy",
    "val_recall",
    "val_recall_macro",
    "val_f1",
    "val_f1_macro",
    "val_rmse",
    "val_r2",
)


def page_states(store: Store) -> list[dict[str, Any]]:
    """Return one page state per experiment, the one of the newest search first.

    Returns:
        ``experiment_id``, ``columns`` (in MLflow's notation) and ``expanded`` (run id
        of the newest search to true).
    """
    states = []
    seen = set()
    for search in list_searches(store):
        if search.experiment_id not in seen:
            seen.add(search.experiment_id)
            states.append(_state(store, search))
    return states


def save_view(store: Store, experiment_id: str, columns: Sequence[str]) -> None:
    """Save these columns under "Views", for pages that are opened without ktune."""
    state = {
        "selectedColumns": list(columns),
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
    }
    view = {"name": "ktune: trials", "state": json.dumps(state)}
    store.client.set_experiment_tag(
        experiment_id, "mlflow.sharedViewState.ktune", json.dumps(view)
    )


def columns_of(trials: Sequence[RunView], objective: str) -> list[str]:
    """Return the most informative columns for these trials."""
    metrics = {name for trial in trials for name in trial.metrics}
    wanted = dict.fromkeys([f"val_{objective}", *_LEADING, f"train_{objective}"])
    params = dict.fromkeys(name for trial in trials for name in trial.params)
    return [
        *(f"metrics.`{name}`" for name in wanted if name in metrics),
        f"tags.`{names.STATE}`",
        f"tags.`{names.VERDICT}`",
        *(f"params.`{name}`" for name in list(params)[:_MAX_PARAMS]),
    ]


def _state(store: Store, search: RunView) -> dict[str, Any]:
    trials = list_trials(store, search)
    return {
        "experiment_id": search.experiment_id,
        "columns": columns_of(trials, search.objective.metric),
        "expanded": {search.run_id: True},
    }
