"""List searches, or the trials of one search, best first."""

import argparse
from typing import Any

from ktune.cli.exit_codes import DONE
from ktune.cli.options import (
    add_json_option,
    add_store_option,
    at_least_one,
    print_json,
)
from ktune.utils.text import shortened

_MAX_NAME = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``runs``."""
    parser.add_argument(
        "search", nargs="?", metavar="SEARCH", help="list the trials of this search"
    )
    parser.add_argument("--limit", type=at_least_one, help="show at most this many")
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from ktune.tracking.store import opened_store

    with opened_store(arguments.tracking_uri) as store:
        if arguments.search is None:
            _print_searches(store, arguments)
        else:
            _print_trials(store, arguments)
    return DONE


def _print_searches(store: Any, arguments: argparse.Namespace) -> None:
    from ktune.cli.tables import make_table, print_table
    from ktune.tracking.reader import list_searches, shown_status

    searches = list_searches(store)[: arguments.limit]
    states = [shown_status(store, search) for search in searches]
    if arguments.json:
        print_json(
            [_search_as_dict(*pair) for pair in zip(searches, states, strict=True)]
        )
        return
    table = make_table("search", "experiment", "started", "status", "best", "test")
    for search, status in zip(searches, states, strict=True):
        metric = search.objective.metric
        table.add_row(
            search.run_id[:8],
            shortened(search.experiment, _MAX_NAME),
            f"{search.started:%Y-%m-%d %H:%M}",
            status.lower(),
            _metric_text(search, f"best_val_{metric}", metric),
            _metric_text(search, f"test_{metric}", metric),
        )
    print_table(table, empty="This store has no search yet.")


def _print_trials(store: Any, arguments: argparse.Namespace) -> None:
    from ktune.cli.summary import trials_table
    from ktune.cli.tables import print_table
    from ktune.tracking.reader import find_search
    from ktune.tuner.result import result_of

    result = result_of(store, find_search(store, arguments.search))
    runs = result.trial_runs[: arguments.limit]
    if arguments.json:
        print_json(result.trials.to_dict("records"))
        return
    table = trials_table(runs, result, with_values=True)
    print_table(table, empty="This search has no trial yet.")


def _search_as_dict(search: Any, status: str) -> dict[str, Any]:
    return {
        "run_id": search.run_id,
        "experiment": search.experiment,
        "started": search.started.isoformat(),
        "status": status,
        "seconds": search.seconds,
        "objective": search.objective.metric,
        "params": dict(search.params),
        "metrics": dict(search.metrics),
    }


def _metric_text(search: Any, key: str, metric: str) -> str:
    value = search.metrics.get(key)
    return "-" if value is None else f"{metric} {value:.4f}"
