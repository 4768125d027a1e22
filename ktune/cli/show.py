"""Show one search or one trial in the terminal."""

import argparse
import sys
from typing import Any

from ktune.cli.exit_codes import DONE
from ktune.cli.options import add_json_option, add_store_option, print_json
from ktune.utils.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``show``."""
    parser.add_argument(
        "run",
        nargs="?",
        default="best",
        metavar="RUN",
        help="a search or a trial (default: best)",
    )
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the search or the trial."""
    from ktune.tracking.reader import find_run
    from ktune.tracking.store import opened_store

    with opened_store(arguments.tracking_uri) as store:
        view = find_run(store, arguments.run)
        if view.is_search:
            _show_search(store, view, arguments.json)
        else:
            _show_trial(store, view, arguments.json)
    return DONE


def _show_search(store: Any, view: Any, as_json: bool) -> None:
    from ktune.cli.summary import print_search, search_as_dict
    from ktune.tuner.result import result_of

    result = result_of(store, view)
    if as_json:
        print_json(search_as_dict(result))
    else:
        print_search(result, sys.stdout)


def _show_trial(store: Any, view: Any, as_json: bool) -> None:
    from ktune.cli.summary import print_trial
    from ktune.report import read_context, read_trial_view
    from ktune.report.terminal import draw_trial
    from ktune.tracking.reader import find_search, read_trial
    from ktune.tracking.records import trial_as_json

    if as_json:
        record = trial_as_json(*read_trial(store, view))
        print_json({"run_id": view.run_id, **record})
        return
    search = find_search(store, view.run_id)
    trial = read_trial_view(store, view, read_context(store, search))
    print_trial(store, view, search.objective, sys.stdout)
    if view.state != "failed":
        say(draw_trial(trial))
