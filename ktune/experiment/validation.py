"""Validation of the fields of an experiment, with messages for the user."""

import inspect
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ktune.errors import ExperimentError
from ktune.experiment.choices import (
    EXECUTORS,
    FINALS,
    OUTPUTS,
    PICKS,
    PRUNERS,
    SAMPLERS,
    SINGLE_OBJECTIVE_SAMPLERS,
    STRATIFY,
    TASKS,
    TRAINERS,
)
from ktune.experiment.executor_validation import (
    check_ray_address,
    check_share,
    executor_problems,
)
from ktune.experiment.fit_settings import make_fit_settings
from ktune.metrics.objectives import is_single_objective, make_objective
from ktune.metrics.scores import COSTS, canonical_name
from ktune.utils.text import did_you_mean

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*")


def parse_duration(value: float | str, name: str = "timeout") -> float:
    """Return seconds for a number of seconds or for text such as "1h30m".

    Raises:
        ExperimentError: The value is neither, or not positive.

    Example:
        >>> parse_duration("1h30m"), parse_duration("45s"), parse_duration(2)
        (5400.0, 45.0, 2.0)
    """
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds < float("inf"):
        raise ExperimentError(
            f"`{name}` must be a positive number of seconds or text such as '20m' or "
            f"'1h30m'; got {value!r}"
        )
    return seconds


def _seconds(value: Any) -> float | None:
    if isinstance(value, str) and not value.isdecimal():
        match = _DURATION.fullmatch(value)
        parts = [int(group or 0) for group in match.groups()] if match else []
        return float(sum(n * m for n, m in zip(parts, (3600, 60, 1), strict=False)))
    is_number = isinstance(value, int | float | str) and not isinstance(value, bool)
    return float(value) if is_number else None


def as_one_message(problems: list[str]) -> str:
    """Return one problem unchanged, or several as a list."""
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems:" + "".join(f"\n  - {p}" for p in problems)


def problems_of_fields(fields: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each problem of the fields."""
    problems = []
    for name, check in _CHECKS.items():
        if name in fields and (problem := check(fields[name])):
            problems.append(problem)
    if fields.get("engine") in tuple(SAMPLERS):
        problems += _sampler_problem(fields["engine"], fields.get("sampler"))
        problems += _several_objectives_problems(fields)
    problems += _reshuffle_problem(fields)
    problems += executor_problems(fields)
    return problems


def _reshuffle_problem(fields: Mapping[str, Any]) -> list[str]:
    reshuffle, cv = fields.get("reshuffle", False), fields.get("cv", 5)
    if not isinstance(reshuffle, bool):
        return [f"`reshuffle` must be True or False; got {reshuffle!r}"]
    if reshuffle and not isinstance(cv, int):
        return [f"`reshuffle` needs `cv` to be a number of folds; got {cv!r}"]
    return []


def _check_name(name: Any) -> str | None:
    if isinstance(name, str) and len(name) <= 100 and _NAME.fullmatch(name):
        return None
    return (
        "`name` must be text of letters, digits, spaces and . _ - that starts with a "
        f"letter or digit, at most 100 long; got {reprlib.repr(name)}"
    )


def _check_build(build: Any) -> str | None:
    if callable(getattr(build, "build", None)):
        return None
    if callable(build):
        return None if _takes_hp(build) else _without_hp(build)
    return (
        "`build` must be a function build(hp) that returns a Keras model, or a "
        f"keras_tuner.HyperModel; got {build!r}"
    )


def _takes_hp(build: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(build)
    except (TypeError, ValueError):  # a function in C may have no signature
        return True
    return any(_binds(signature, count) for count in (1, 2))


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _without_hp(build: Callable[..., Any]) -> str:
    name = getattr(build, "__name__", "it")
    return (
        f"`build` must be a function build(hp) that returns a Keras model; {name} "
        f"cannot be called with `hp`. If it makes such a function, call it: {name}()"
    )


def _check_data(data: Any) -> str | None:
    if data is None:
        return "`data` must be arrays, a ktune.data source or a function; got None"
    return None


def _check_fit(fit: Any) -> str | None:
    if fit is None or callable(fit):
        return None
    if not isinstance(fit, Mapping):
        return f"`fit` must be a dict or a function of hp that returns one; got {fit!r}"
    try:
        make_fit_settings(fit)
    except ExperimentError as error:
        return str(error)
    return None


def _check_metric(metric: Any) -> str | None:
    if not isinstance(metric, str):
        return f"a metric must be named by text; got {metric!r}"
    try:
        canonical_name(metric)
    except ExperimentError as error:
        return str(error)
    return None


def _check_objective(objective: Any) -> str | None:
    if objective is None:
        return None
    if not is_single_objective(objective):
        return _check_objectives(objective)
    if isinstance(objective, str) and objective in COSTS:
        return (
            f"`objective` cannot be {objective!r} alone: a model that predicts "
            f"nothing costs least. Name a metric first: ['accuracy', {objective!r}]"
        )
    return _objective_problem(objective)


def _objective_problem(objective: Any) -> str | None:
    try:
        make_objective(objective)
    except ExperimentError as error:
        message = str(error)
        is_complete = message.startswith(("objective ", "an objective "))
        return message if is_complete else f"objective {message}"
    return None


def _check_objectives(given: Sequence[Any]) -> str | None:
    problems = [problem for one in given if (problem := _objective_problem(one))]
    if problems:
        costs = f" Costs of a model: {', '.join(COSTS)}"
        return "; ".join(f"{problem}{costs}" for problem in problems)
    names = [make_objective(one).metric for one in given]
    if not names or names[0] in COSTS:
        return (
            "`objective` as a list must begin with a metric, such as ['accuracy', "
            f"'n_parameters']; got {list(given)!r}"
        )
    if len(set(names)) < len(names):
        return f"`objective` names something twice: {list(given)!r}"
    return None


def _check_limit(name: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or (is_number and 0 < value < float("inf")):
            return None
        return f"`{name}` must be None or a positive number; got {value!r}"

    return check


def _check_metrics(metrics: Any) -> str | None:
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        return f"`metrics` must be a list of scorer names; got {metrics!r}"
    problems = [problem for metric in metrics if (problem := _check_metric(metric))]
    return f"metrics: {'; '.join(problems)}" if problems else None


def _check_cv(cv: Any) -> str | None:
    is_int = isinstance(cv, int) and not isinstance(cv, bool)
    is_splitter = callable(getattr(cv, "split", None)) and not isinstance(cv, str)
    if isinstance(cv, type):
        return _class_problem("cv", "splitter", cv)
    if (is_int and cv >= 2) or is_splitter:
        return None
    hint = (
        " For a single hold-out use ShuffleSplit(n_splits=1)."
        if is_int and cv == 1
        else ""
    )
    return (
        f"`cv` must be an int of at least 2 or a scikit-learn splitter; got {cv!r}."
        + hint
    )


def _check_test_size(test_size: Any) -> str | None:
    is_number = isinstance(test_size, int | float) and not isinstance(test_size, bool)
    if is_number and 0 <= test_size < 1:
        return None
    return f"`test_size` must be a share in [0, 1); got {test_size!r}"


def _duration(name: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        try:
            if value is not None:
                parse_duration(value, name)
        except ExperimentError as error:
            return str(error)
        return None

    return check


def _check_preprocess(preprocess: Any) -> str | None:
    if isinstance(preprocess, type):
        return _class_problem("preprocess", "transformer", preprocess)
    if preprocess is None or hasattr(preprocess, "transform"):
        return None
    if isinstance(preprocess, str) and preprocess == "auto":
        return None
    return (
        "`preprocess` must be None, 'auto' or a scikit-learn transformer; "
        f"got {preprocess!r}"
    )


def _check_threshold(threshold: Any) -> str | None:
    if threshold is None or (isinstance(threshold, str) and threshold == "tune"):
        return None
    if isinstance(threshold, float) and 0 < threshold < 1:
        return None
    return (
        "`threshold` must be None, 'tune' or a probability between 0 and 1; got "
        f"{threshold!r}"
    )


def _check_scale_target(scale_target: Any) -> str | None:
    if scale_target is None or isinstance(scale_target, bool):
        return None
    return f"`scale_target` must be None, True or False; got {scale_target!r}"


def _class_problem(field: str, noun: str, cls: type) -> str:
    return (
        f"`{field}` must be a scikit-learn {noun}; got the class {cls.__name__}. "
        f"Give an instance: {cls.__name__}(...)"
    )


def _check_fit_overrides(overrides: Any) -> str | None:
    return None if overrides is None else _check_fit(overrides)


def _check_start_from(start_from: Any) -> str | None:
    is_list = isinstance(start_from, list | tuple)
    if is_list and all(isinstance(values, Mapping) for values in start_from):
        pairs = [pair for values in start_from for pair in values.items()]
        plain = bool | int | float | str
        if all(isinstance(n, str) and isinstance(v, plain) for n, v in pairs):
            return None
    return (
        "`start_from` must be a list of dicts from parameter name to a number, text "
        f"or truth value; got {start_from!r}"
    )


def _bool(name: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if isinstance(value, bool):
            return None
        return f"`{name}` must be True or False; got {value!r}"

    return check


def _check_license(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None
    return f"`license` must be text, such as 'Apache-2.0'; got {value!r}"


def _int_of_at_least(
    name: str, least: int, *, optional: bool = False
) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is None and optional:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return None
        return f"`{name}` must be an int of at least {least}; got {value!r}"

    return check


def _one_of(
    name: str, known: Sequence[str], *, optional: bool = False
) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        is_text = isinstance(value, str)
        if (is_text and value in known) or (optional and value is None):
            return None
        return f"`{name}` must be one of {', '.join(known)}; got {value!r}." + (
            did_you_mean(value, known) if is_text else ""
        )

    return check


def _several_objectives_problems(fields: Mapping[str, Any]) -> list[str]:
    objective = fields.get("objective")
    several = () if is_single_objective(objective) else tuple(objective or ())
    if len(several) < 2:
        if fields.get("pick") is None:
            return []
        return [
            "`pick` selects a trial from a Pareto front; it needs several objectives, "
            "such as objective=['accuracy', 'n_parameters']"
        ]
    sampler = fields.get("sampler") or SAMPLERS[fields["engine"]][0]
    if sampler not in SINGLE_OBJECTIVE_SAMPLERS:
        return []
    return [
        f"sampler {sampler!r} supports one objective only; for several use "
        "engine 'optuna' with sampler 'tpe' or 'nsga2'"
    ]


def _sampler_problem(engine: str, sampler: Any) -> list[str]:
    problem = _one_of("sampler", SAMPLERS[engine], optional=True)(sampler)
    return [f"{problem} (engine {engine!r})"] if problem else []


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "name": _check_name,
    "data": _check_data,
    "build": _check_build,
    "fit": _check_fit,
    "objective": _check_objective,
    "pick": _one_of("pick", PICKS, optional=True),
    "final": _one_of("final", FINALS),
    "max_parameters": _check_limit("max_parameters"),
    "max_latency_ms": _check_limit("max_latency_ms"),
    "cv": _check_cv,
    "test_size": _check_test_size,
    "engine": _one_of("engine", tuple(SAMPLERS)),
    "pruner": _one_of("pruner", PRUNERS),
    "trials": _int_of_at_least("trials", 1),
    "timeout": _duration("timeout"),
    "trial_timeout": _duration("trial_timeout"),
    "seed": _int_of_at_least("seed", 0),
    "preprocess": _check_preprocess,
    "metrics": _check_metrics,
    "threshold": _check_threshold,
    "task": _one_of("task", TASKS, optional=True),
    "scale_target": _check_scale_target,
    "outputs": _one_of("outputs", OUTPUTS),
    "stratify": _one_of("stratify", STRATIFY),
    "trainer": _one_of("trainer", TRAINERS),
    "executor": _one_of("executor", EXECUTORS),
    "jobs": _int_of_at_least("jobs", 1, optional=True),
    "ray_address": check_ray_address,
    "cpus": check_share("cpus"),
    "gpus": check_share("gpus", may_be_zero=True),
    "start_from": _check_start_from,
    "fit_overrides": _check_fit_overrides,
    "deterministic": _bool("deterministic"),
    "retry_half_batch": _bool("retry_half_batch"),
    "license": _check_license,
}
