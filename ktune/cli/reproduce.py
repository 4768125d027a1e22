"""Run a trial again from its records in MLflow, and compare the results.

The recorded source is run with the recorded values, folds and seeds, independent of the
working copy. Every metric is identical, within tolerance or different; the output also
lists changes of source, data, versions and machine. A SEARCH stands for its best trial
and its refit. Exit code 3: different.
"""

import argparse
from typing import Any

from ktune.cli.exit_codes import DIFFERENT, DONE
from ktune.cli.options import add_json_option, add_store_option, print_json
from ktune.cli.working import working
from ktune.utils.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``reproduce``."""
    parser.add_argument(
        "run",
        nargs="?",
        default="best",
        metavar="RUN",
        help="a trial, or a search for its best trial and refit (default: best)",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-3,
        metavar="T",
        help="differences up to this are within tolerance (default: %(default)s)",
    )
    parser.add_argument(
        "--diff", action="store_true", help="show the changes of the source"
    )
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Reproduce, and print the comparison."""
    with working(arguments) as listener:
        from ktune.tuner.reproduction import reproduce

        found = reproduce(
            arguments.run,
            tolerance=arguments.tolerance,
            tracking_uri=arguments.tracking_uri,
            listener=listener,
        )
    if arguments.json:
        print_json(found.as_dict())
    else:
        _print(found, with_diffs=arguments.diff)
    return DIFFERENT if found.sameness == "different" else DONE


def _print(found: Any, *, with_diffs: bool) -> None:
    from ktune.cli.tables import make_table, print_table

    table = make_table("", "recorded", "again", "largest difference", "")
    for row in found.comparisons:
        table.add_row(
            row.name,
            _number(row.recorded),
            _number(row.again),
            f"{row.largest:.2g}",
            row.sameness,
        )
    print_table(table, empty="")
    if found.changes:
        say("Changed since:")
    for change in found.changes:
        say(f"  {change.subject}: {change.message}")
        if with_diffs and change.detail:
            say(change.detail)
    if any(
        not change.matters and change.subject == "source" for change in found.changes
    ):
        say("The recorded source was run, not the present one.")
    if found.note:
        say(found.note)
    say(found.conclusion)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)
