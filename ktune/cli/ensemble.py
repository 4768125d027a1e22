"""Make one model of several trials of a search.

Members and weights are chosen by out-of-fold predictions. The score is estimated on
folds that took no part in the choice, and compared with the best single model there
and on the untouched test rows. The ensemble is registered as one Keras model, by the
gate.
"""

import argparse
import sys

from ktune.cli.exit_codes import DONE
from ktune.cli.options import add_json_option, add_store_option, print_json
from ktune.cli.working import working


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ensemble``."""
    parser.add_argument(
        "search",
        nargs="?",
        default="best",
        metavar="SEARCH",
        help="the search (default: the newest); for bagging also a trial of it",
    )
    parser.add_argument(
        "--method",
        default="greedy",
        help="greedy (weighted mean over trials), stacking (a linear model on top) or "
        "bagging (the fold models of a trial); default: %(default)s",
    )
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the ensemble, and print its comparison with the best model."""
    with working(arguments) as listener:
        from ktune.cli.summary import print_ensemble
        from ktune.models.ensembles.making import ensemble

        made = ensemble(
            arguments.search,
            method=arguments.method,
            tracking_uri=arguments.tracking_uri,
            listener=listener,
        )
    if arguments.json:
        print_json(made.as_dict())
    else:
        from ktune.utils.terminal import make_console

        print_ensemble(made, make_console(sys.stdout))
    return DONE
