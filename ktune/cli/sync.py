"""Write the records that a search queued while its MLflow server was unavailable.

Each record is written once, even if this command is repeated or interrupted. Without
--tracking-uri and MLFLOW_TRACKING_URI, records go to the server of their search.
"""

import argparse
import os
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ktune.cli.exit_codes import DONE
from ktune.cli.options import add_json_option, add_store_option, print_json
from ktune.utils.text import count_of, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``sync``."""
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """List the queued records, and write them."""
    from ktune.tracking.location import find_store
    from ktune.tracking.waiting import list_pending

    found = list_pending(find_store(arguments.tracking_uri).folder)
    if arguments.json:
        print_json([_as_dict(waiting, _write(waiting, arguments)) for waiting in found])
        return DONE
    for waiting in found:
        say(_description(waiting), flush=True)
    for waiting in found:
        if _write(waiting, arguments):
            say(f"Search {waiting.owner.search[:8]}: written.", flush=True)
    if not found:
        say("No records are queued.")
    return DONE


def _write(waiting: Any, arguments: argparse.Namespace) -> bool:
    """Write a file of records; return False if its search still runs."""
    from ktune.tracking.delivery import write_pending
    from ktune.tracking.store import open_store

    if waiting.is_driven:
        return False
    named = arguments.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    write_pending(open_store(named or waiting.owner.server), waiting)
    return True


def _description(waiting: Any) -> str:
    owner = waiting.owner
    since = datetime.fromtimestamp(waiting.since)
    text = (
        f"Search {owner.search[:8]} of {owner.experiment!r}: "
        f"{count_of(waiting.n_records, 'record')} "
        f"({count_of(waiting.n_trials, 'trial')}) queued for {owner.server} since "
        f"{since:%Y-%m-%d %H:%M}."
    )
    return (
        f"{text} The search still runs, and writes them." if waiting.is_driven else text
    )


def _as_dict(waiting: Any, is_written: bool) -> dict[str, Any]:
    return {
        **asdict(waiting.owner),
        "records": waiting.n_records,
        "trials": waiting.n_trials,
        "written": is_written,
    }
