"""Search the space of an experiment and register the best model.

FILE is a Python file that defines a `ktune.Experiment`; FILE:NAME picks one of several.
Options override the fields of the experiment.
"""

import argparse
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

from ktune.cli.exit_codes import DONE, INTERRUPTED
from ktune.cli.options import (
    add_json_option,
    add_store_option,
    names_of,
    parse_settings,
    print_json,
)
from ktune.utils.text import say

_FIELDS = (
    "trials",
    "timeout",
    "trial_timeout",
    "engine",
    "sampler",
    "pruner",
    "objective",
    "pick",
    "final",
    "seed",
    "trainer",
    "executor",
    "jobs",
    "ray_address",
    "cpus",
    "gpus",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``search``."""
    parser.add_argument("file", metavar="FILE[:NAME]", help="the experiment")
    parser.add_argument("--trials", type=int, help="finished trials wanted")
    parser.add_argument("--epochs", type=int, help="maximum epochs of a fold")
    parser.add_argument("--folds", type=int, help="number of folds")
    parser.add_argument("--timeout", help="wall time to the registered model, as 20m")
    parser.add_argument("--trial-timeout", help="wall time for one trial")
    parser.add_argument(
        "--retry-half-batch",
        action="store_true",
        help="retry a trial that runs out of memory once, with half its batch size",
    )
    parser.add_argument("--engine", help="optuna or kerastuner")
    parser.add_argument("--sampler", help="tpe, random, grid … of the engine")
    parser.add_argument(
        "--pruner", help="none, median, asha, racing, auto … stops poor trials"
    )
    parser.add_argument(
        "--objective",
        type=names_of,
        help="metric to optimize; several: accuracy,n_parameters",
    )
    parser.add_argument(
        "--pick",
        help="for several objectives: the trial of the Pareto front to register "
        "(one_standard_error, balanced or best)",
    )
    parser.add_argument(
        "--final",
        metavar="MODEL",
        help="model to register: single (the best trial), average (a mean over "
        "refits), or auto: the average if it is better by more than noise",
    )
    parser.add_argument("--seed", type=int, help="seed of all random numbers")
    parser.add_argument("--trainer", help="auto, graph or keras_fit")
    parser.add_argument("--backend", help="of Keras: tensorflow, jax or torch")
    parser.add_argument("--executor", help="where trials run: serial, processes or ray")
    parser.add_argument("--jobs", type=int, help="trials evaluated at the same time")
    parser.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="a Ray cluster: HOST:PORT, or auto for that of this machine",
    )
    parser.add_argument(
        "--cpus", type=float, help="of a trial on Ray, such as 4 or 0.5"
    )
    parser.add_argument(
        "--gpus", type=float, help="of a trial on Ray, such as 1 or 0.5"
    )
    parser.add_argument(
        "-S",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other field of the experiment, or fit.NAME; may be repeated",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="allow nondeterministic operations: not bit-identical on a GPU",
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="try it: 2 trials, 1 epoch, 2 folds; the model is not registered",
    )
    parser.add_argument(
        "--register",
        action="store_true",
        help="with --smoke: register the model, without an alias",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="SEARCH",
        help="resume an interrupted search (default: the newest)",
    )
    parser.add_argument(
        "--enqueue",
        metavar="FILE",
        help="start with these values: JSON, a dict or a list of dicts",
    )
    parser.add_argument(
        "--warm-start",
        metavar="SEARCH",
        help="start with the five best trials of an earlier search",
    )
    parser.add_argument(
        "--ensemble",
        nargs="?",
        const="greedy",
        metavar="METHOD",
        help="also make an ensemble of the trials: greedy, stacking or bagging",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="store the study in a database, so that several machines can join the "
        "search with --resume: postgresql://user@host/name",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the search and print its result."""
    changes = _changes(arguments)
    from ktune.tuner.progress import make_listener

    # `kill` ends the search like Ctrl-C, so that all records are written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    listener = make_listener(quiet=arguments.quiet or arguments.json)
    with contextlib.closing(listener):
        listener.on_phase(f"reading {arguments.file}")
        loaded = _load(arguments)
        from ktune.tuner.search import search

        result = search(
            loaded,
            tracking_uri=arguments.tracking_uri,
            listener=listener,
            is_smoke_test=arguments.smoke,
            register=arguments.register,
            resume=arguments.resume,
            warm_start=arguments.warm_start,
            ensemble=arguments.ensemble,
            storage=arguments.storage,
            **changes,
        )
    _print(result, arguments)
    return INTERRUPTED if _is_interrupted(result) else DONE


def _load(arguments: argparse.Namespace) -> Any:
    """Load the experiment, with Keras on the backend that was asked for."""
    from ktune.utils.runtime import choose_backend, import_keras

    if arguments.backend is not None:
        choose_backend(arguments.backend)
    import_keras()
    from ktune.experiment.loading import load_experiment

    return load_experiment(arguments.file)


def _print(result: Any, arguments: argparse.Namespace) -> None:
    from ktune.cli.summary import print_search, search_as_dict

    if arguments.json:
        print_json(search_as_dict(result))
        return
    print_search(result, sys.stdout)
    _print_resume(result, arguments)


def _is_interrupted(result: Any) -> bool:
    return result.outcome is not None and bool(result.outcome.is_interrupted)


def _print_resume(result: Any, arguments: argparse.Namespace) -> None:
    """Print the command that resumes an interrupted search."""
    from ktune.tracking.names import STORAGE

    if _is_interrupted(result):
        storage = result.view.tags.get(STORAGE)  # without its password
        where = f" --storage '{storage}'" if storage else ""
        say("To continue the search:")
        say(f"  ktune search {arguments.file} --resume {result.run_id[:8]}{where}")


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields replaced by options."""
    changes = {
        name: getattr(arguments, name)
        for name in _FIELDS
        if getattr(arguments, name) is not None
    }
    if arguments.epochs is not None:
        changes["fit.epochs"] = arguments.epochs
    if arguments.folds is not None:
        changes["cv"] = arguments.folds
    if arguments.fast:
        changes["deterministic"] = False
    if arguments.retry_half_batch:
        changes["retry_half_batch"] = True
    if arguments.enqueue is not None:
        changes["start_from"] = _read_values(arguments.enqueue)
    return {**changes, **parse_settings(arguments.settings)}


def _read_values(path: str) -> list[Any]:
    """Read values to start with: a dict or a list of dicts.

    Raises:
        ExperimentError: The file is not readable, or not JSON.
    """
    from ktune.errors import ExperimentError

    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExperimentError(f"--enqueue {path}: {error}") from error
    return content if isinstance(content, list) else [content]
