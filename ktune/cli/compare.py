"""Compare two to eight trials or searches: is the difference more than noise?

A search stands for its best trial. All others are compared with the first one, by a
paired test over common folds if there are any.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ktune.cli.exit_codes import DONE
from ktune.cli.options import (
    add_json_option,
    add_store_option,
    print_json,
    written_to,
)
from ktune.utils.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``compare``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="trials or searches")
    parser.add_argument("-o", "--output", type=Path, help="also write an HTML page")
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison, and write its page if asked."""
    from ktune.report.comparison import read_comparison, write_comparison
    from ktune.tracking.store import opened_store

    with opened_store(arguments.tracking_uri) as store:
        comparison = read_comparison(store, arguments.runs)
    if arguments.json:
        print_json(_as_dict(comparison))
    else:
        _print(comparison)
    if arguments.output:
        with written_to(arguments.output):
            write_comparison(comparison, arguments.output)
        say(arguments.output, file=sys.stderr)
    return DONE


def _print(comparison: Any) -> None:
    from ktune.cli.tables import print_table, rich_table
    from ktune.report.comparison import (
        duels_table,
        scores_table,
        sizes_table,
        values_table,
    )

    for contender in comparison.contenders:
        say(f"{contender.label}: {contender.diagnosis.verdict}")
    for make in (scores_table, duels_table, values_table, sizes_table):
        print_table(rich_table(make(comparison)), empty="")
    for duel in comparison.duels:
        say(duel.conclusion + (f" ({duel.note})" if duel.note else ""))
    for warning in comparison.warnings:
        say(f"Note: {warning}")


def _as_dict(comparison: Any) -> dict[str, Any]:
    return {
        "contenders": [
            {
                "label": contender.label,
                "run_id": contender.run_id,
                "experiment": contender.experiment,
                "verdict": contender.diagnosis.verdict,
                "score": contender.view.result.score,
                "values": dict(contender.view.trial.values),
            }
            for contender in comparison.contenders
        ],
        "objective": comparison.objective.metric,
        "duels": [asdict(duel) for duel in comparison.duels],
        "warnings": list(comparison.warnings),
        "differing_values": comparison.differing_values(),
    }
