"""Write the report of a search: does it overfit, what matters, what to do next.

One self-contained HTML file. The report written at the end of the search is an artifact
of its run in MLflow too.
"""

import argparse
import re
import webbrowser
from pathlib import Path
from typing import Any

from ktune.cli.exit_codes import DONE
from ktune.cli.options import add_store_option, written_to
from ktune.utils.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``report``."""
    parser.add_argument(
        "search", nargs="?", metavar="SEARCH", help="default: the newest search"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="file to write (default: NAME-ID.html here)"
    )
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    add_store_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read the search from MLflow and write the file."""
    from ktune.report import read_report, write_report
    from ktune.tracking.reader import find_search
    from ktune.tracking.store import opened_store

    with opened_store(arguments.tracking_uri) as store:
        search = find_search(store, arguments.search)
        report = read_report(store, search)
    path = arguments.output or Path(_file_name(search))
    with written_to(path):
        write_report(report, path)
    say(path)
    if arguments.open:
        webbrowser.open(path.resolve().as_uri())
    return DONE


def _file_name(search: Any) -> str:
    # Another program may have written any name to the store, even a path.
    name = re.sub(r"[^\w.-]+", "-", search.experiment).strip(".-")
    return f"{name}-{search.run_id[:8]}.html"
