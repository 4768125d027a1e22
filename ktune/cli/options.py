"""Options that several verbs share."""

import argparse
import ast
import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ktune.errors import ExperimentError
from ktune.utils.text import say


def add_store_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--tracking-uri``."""
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow store (default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db here)",
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="print JSON instead of a table"
    )


def print_json(content: Any) -> None:
    """Print JSON for other programs; NaN becomes null."""
    from ktune.tracking.records import as_json_bytes

    say(json.dumps(json.loads(as_json_bytes(content)), indent=2))


def at_least_one(text: str) -> int:
    """Parse a positive number."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {number}")
    return number


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def bytes_of(text: str) -> int:
    """Parse a size such as 10MB.

    Example:
        >>> bytes_of("10MB"), bytes_of("2.5 kB"), bytes_of("300")
        (10000000, 2500, 300)
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kKmMgG]?[bB]?)", text.strip())
    unit = match and match[2].upper()
    if match is None or unit not in _UNITS:
        raise argparse.ArgumentTypeError(f"must be a size such as 10MB; got {text!r}")
    size = int(float(match[1]) * _UNITS[unit])
    if size < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1 byte; got {text!r}")
    return size


@contextlib.contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Report a file named by ``--output`` that is not writable.

    Raises:
        ExperimentError: The block raised an error of the system.
    """
    try:
        yield
    except OSError as error:
        raise ExperimentError(
            f"--output {path} cannot be written: {error.strerror or error}"
        ) from error


def names_of(text: str) -> str | list[str]:
    """Return a name, or the list of several names separated by commas.

    Example:
        >>> names_of("accuracy"), names_of("accuracy,n_parameters")
        ('accuracy', ['accuracy', 'n_parameters'])
    """
    names = [name.strip() for name in text.split(",")]
    return names if len(names) > 1 else text


def parse_settings(settings: list[str]) -> Mapping[str, Any]:
    """Parse ``-S key=value`` words; values are Python literals or plain text.

    Raises:
        ExperimentError: A word is not of that form.

    Example:
        >>> parse_settings(["cv=3", "sampler=random", "fit.epochs=4"])
        {'cv': 3, 'sampler': 'random', 'fit.epochs': 4}
    """
    parsed = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise ExperimentError(f"-S needs key=value; got {setting!r}")
        try:
            parsed[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            parsed[name] = text
    return parsed
