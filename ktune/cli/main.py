"""The command line: ``ktune VERB …``. Verbs are imported when they are called."""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from ktune import __version__
from ktune.cli.exit_codes import DONE, FAULT, INTERRUPTED, MISTAKE
from ktune.errors import KtuneError
from ktune.utils.text import did_you_mean, say

VERBS = {
    "search": "search, judge by cross-validation, refit and register the best model",
    "runs": "list searches, or the trials of one search",
    "show": "one search or trial in the terminal",
    "report": "the over/underfitting report of a search, one HTML file",
    "compare": "trials or searches side by side, with a paired test over folds",
    "reproduce": "run a trial again from what MLflow holds, and compare",
    "export": "write a registered model as Keras, SavedModel, TFLite or ONNX",
    "predict": "class names and probabilities for new rows, by a registered model",
    "serve": "a registered model behind MLflow's scoring server, on this machine",
    "ensemble": "one model of several trials, compared with the best single one",
    "promote": "make a trial's model champion, if better by more than noise",
    "sync": "write records that were queued for an unavailable MLflow server",
    "ui": "browse searches in MLflow's web page",
    "doctor": "check the installation on this machine",
    "help": "the manual: its topics, or one of them",
}

_EPILOG = """\
RUN and SEARCH are a run id or a unique prefix of one, `best` (the best trial of the
newest search), an experiment's name (its newest search) or NAME:best. MODEL is NAME
(its champion), NAME@ALIAS, NAME/VERSION or an MLflow model URI.

Exit codes: 0 done, 1 a fault of ktune (or an exported file that does not agree), 2 a
mistake to correct (see the message), 3 reproduced with a different result, 130
interrupted by Ctrl-C with all finished trials kept.
"""


class Parser(argparse.ArgumentParser):
    """Parser that reports a mistake in one message, with the nearest valid name."""

    def error(self, message: str) -> NoReturn:
        """Print the message and leave with exit code 2."""
        words = message.rsplit(": ", 1)
        hint = ""
        if message.startswith("unrecognized arguments"):
            option = words[-1].split()[0].split("=")[0]
            hint = did_you_mean(option, self._option_string_actions)
        end = "" if message.endswith(("?", ".")) else "."
        say(
            f"{self.prog}: {message}{end}{hint} Try `{self.prog} --help`.",
            file=sys.stderr,
        )
        raise SystemExit(MISTAKE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except KtuneError as error:
        say(f"{type(error).__name__}: {error}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt as error:
        say(str(error) or "interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has closed the pipe, so stdout must not be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception:
        say(traceback.format_exc(), file=sys.stderr)
        say(
            f"\nThis is a fault in ktune {__version__}, not in your work. Please "
            "report it with the lines above.",
            file=sys.stderr,
        )
        return FAULT


def entry_point() -> NoReturn:
    """Run the command named on the command line and exit."""
    raise SystemExit(main())


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        _overview().print_help()
        return DONE
    if words[0] == "--version":
        say(f"ktune {__version__}")
        return DONE
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        _overview().error(f"there is no verb {verb!r}.{did_you_mean(verb, VERBS)}")
    return int(_module(verb).run(make_parser(verb).parse_args(rest)))


def make_parser(verb: str) -> Parser:
    """Return the parser of a verb's options."""
    module = _module(verb)
    parser = Parser(prog=f"ktune {verb}", description=module.__doc__, epilog=_EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(parser)
    return parser


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"ktune.cli.{verb}")


def _overview() -> Parser:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, text in VERBS.items())
    return Parser(
        prog="ktune",
        usage="ktune VERB [options]",
        description=f"Tune Keras models honestly.\n\nverbs:\n{verbs}\n\n"
        "`ktune VERB --help` explains one, `ktune help` lists the manual.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=True,
    )
