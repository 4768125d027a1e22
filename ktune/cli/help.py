"""Print a topic of the manual, or the options of a verb.

Without a TOPIC: list the topics.
"""

import argparse
import re
import sys
from importlib.resources import files

from ktune.cli.exit_codes import DONE
from ktune.utils.text import did_you_mean, say

TOPICS = (
    "experiment",
    "data",
    "trials",
    "searching",
    "speed",
    "cluster",
    "diagnosis",
    "mlflow",
    "models",
    "export",
    "extending",
)
"""Names of the files in ``ktune/manual``, in reading order."""

_WIDEST = 100
"""Columns of a rendered topic; longer lines are hard to read."""

_LINK_TO_TOPIC = re.compile(r"\[\w+\]\((\w+)\.md\)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``help``."""
    parser.add_argument(
        "topic",
        nargs="?",
        metavar="TOPIC",
        type=_topic_or_verb,
        help="a topic of the manual, or a verb",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the topic, the options of the verb, or the list of topics."""
    if arguments.topic is None:
        _print_topics()
    elif arguments.topic in TOPICS:
        _print_topic(arguments.topic)
    else:
        _print_verb(arguments.topic)
    return DONE


def read_topic(name: str) -> str:
    """Return a topic of the manual as Markdown."""
    path = files("ktune").joinpath("manual", f"{name}.md")
    return path.read_text(encoding="utf-8")


def describe_topic(name: str) -> str:
    """Return the description of a topic: its heading after the colon."""
    heading = read_topic(name).split("\n", 1)[0]
    return heading.partition(": ")[2]


def _topic_or_verb(name: str) -> str:
    from ktune.cli.main import VERBS

    known = [*TOPICS, *VERBS]
    if name not in known:
        raise argparse.ArgumentTypeError(
            f"there is no topic or verb {name!r}.{did_you_mean(name, known)} "
            f"Topics: {', '.join(TOPICS)}."
        )
    return name


def _print_topics() -> None:
    say("Topics of the manual:\n")
    width = max(map(len, TOPICS))
    for name in TOPICS:
        say(f"  {name:<{width}}  {describe_topic(name)}")
    say("\n`ktune help TOPIC` prints one, `ktune help VERB` the options of a verb.")


def _print_topic(name: str) -> None:
    from rich.markdown import Markdown

    from ktune.cli.main import VERBS
    from ktune.utils.terminal import make_console

    text = _LINK_TO_TOPIC.sub(r"`ktune help \1`", read_topic(name))
    console = make_console(sys.stdout)
    width = min(console.width, _WIDEST)
    console.print(Markdown(text, hyperlinks=False), width=width)
    if name in VERBS:
        say(f"\nOptions of the verb: `ktune {name} --help`.")


def _print_verb(name: str) -> None:
    from ktune.cli.main import make_parser

    make_parser(name).print_help()
