"""Make a trial's model the champion, if it is better by more than noise.

The trial is refitted first if it has no registered version yet. Candidate and champion
are measured on the same untouched test rows (paired bootstrap, 95 %); if the candidate
is not better beyond the interval, it becomes `challenger`. A SEARCH stands for its best
trial. Every alias change is recorded with its reason and time.
"""

import argparse
from typing import Any

from ktune.cli.exit_codes import DONE
from ktune.cli.options import add_json_option, add_store_option, print_json
from ktune.cli.working import working
from ktune.utils.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``promote``."""
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="a trial, or a search for its best one (default: best)",
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--force", action="store_true", help="promote even if the gate refuses"
    )
    either.add_argument(
        "--rollback",
        action="store_true",
        help="return `champion` to the previous version; RUN names the model",
    )
    parser.add_argument(
        "--n-refits",
        type=int,
        default=1,
        metavar="N",
        help="refit with N seeds and register their mean (default: %(default)s)",
    )
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Promote or roll back, and print the outcome."""
    found = _roll_back(arguments) if arguments.rollback else _promote(arguments)
    if arguments.json:
        print_json(found.as_dict())
    else:
        say(found.message)
    return DONE


def _roll_back(arguments: argparse.Namespace) -> Any:
    from ktune.models.promotion.rolling_back import rollback

    return rollback(arguments.run, tracking_uri=arguments.tracking_uri)


def _promote(arguments: argparse.Namespace) -> Any:
    with working(arguments) as listener:
        from ktune.models.promotion.promoting import promote

        return promote(
            arguments.run or "best",
            force=arguments.force,
            n_refits=arguments.n_refits,
            tracking_uri=arguments.tracking_uri,
            listener=listener,
        )
