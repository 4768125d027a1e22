"""Read the trials of a search directly from a SQLite store.

MLflow builds an object for every tag, param and metric with SQLAlchemy, which takes
almost a minute for 5,000 trials; four plain queries take a second.
"""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from ktune.tracking import names
from ktune.tracking.location import BUSY_SECONDS
from ktune.tracking.run_view import RunView, duration

_BELOW = "SELECT run_uuid FROM tags WHERE key = ? AND value = ?"
_RUNS = (
    "SELECT run_uuid, name, status, start_time, end_time, artifact_uri FROM runs "
    f"WHERE lifecycle_stage = 'active' AND run_uuid IN ({_BELOW})"
)
_DETAILS = {
    "tags": f"SELECT run_uuid, key, value FROM tags WHERE run_uuid IN ({_BELOW})",
    "params": f"SELECT run_uuid, key, value FROM params WHERE run_uuid IN ({_BELOW})",
    "metrics": (
        "SELECT run_uuid, key, CASE WHEN is_nan THEN NULL ELSE value END "
        f"FROM latest_metrics WHERE run_uuid IN ({_BELOW})"
    ),
}


def read_runs_below(database: Path, search: RunView) -> list[RunView]:
    """Return the runs below a search, in no order.

    Args:
        database: MLflow's SQLite file.
        search: The parent run.

    Raises:
        sqlite3.Error: The tables are not those of the MLflow versions known here.
    """
    parent_tag = (names.PARENT, search.run_id)
    uri = f"{database.as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        connection.execute("BEGIN")  # one snapshot for all queries
        runs = connection.execute(_RUNS, parent_tag).fetchall()
        details = {
            kind: _by_run(connection.execute(query, parent_tag))
            for kind, query in _DETAILS.items()
        }
    return [_view(run, search, details) for run in runs]


def _by_run(rows: sqlite3.Cursor) -> Mapping[str, dict[str, Any]]:
    by_run: dict[str, dict[str, Any]] = defaultdict(dict)
    for run_id, key, value in rows:
        by_run[run_id][key] = math.nan if value is None else value
    return by_run


def _view(
    run: tuple[Any, ...], search: RunView, details: Mapping[str, Mapping[str, Any]]
) -> RunView:
    run_id, name, status, start, end, artifact_uri = run
    return RunView(
        run_id=run_id,
        experiment=search.experiment,
        experiment_id=search.experiment_id,
        name=name or "",
        status=status,
        started=datetime.fromtimestamp((start or 0) / 1000),
        seconds=duration(start, end),
        tags=details["tags"].get(run_id, {}),
        params=details["params"].get(run_id, {}),
        metrics=details["metrics"].get(run_id, {}),
        artifact_uri=artifact_uri or "",
    )
