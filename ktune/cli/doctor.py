"""Check the installation on this machine, with a remedy for each problem."""

import argparse
from dataclasses import asdict

from ktune.cli.exit_codes import DONE, MISTAKE
from ktune.cli.options import add_json_option, add_store_option, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``doctor``."""
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the checks; exit code 2 if a required part is broken."""
    from ktune.cli.health import CheckState, examine
    from ktune.cli.tables import make_table, print_table

    checks = examine(arguments.tracking_uri)
    if arguments.json:
        print_json([asdict(check) for check in checks])
    else:
        table = make_table("", "", "", "what to do")
        for check in checks:
            table.add_row(check.subject, check.state, check.detail, check.remedy)
        print_table(table, empty="")
    is_broken = any(check.state is CheckState.BAD for check in checks)
    return MISTAKE if is_broken else DONE
