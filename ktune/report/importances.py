"""Importances of the hyperparameters, with bootstrap intervals."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktune.diagnosis import ParameterView, SearchView, TrialView
from ktune.report.space import observed_space
from ktune.report.view import Importance
from ktune.trial import Value

LEAST_TRIALS = 8
N_RESAMPLES = 20


def measure_importances(view: SearchView, *, seed: int = 0) -> tuple[Importance, ...]:
    """Return importances by PED-ANOVA with bootstrap intervals over the trials.

    Only parameters of every complete trial are compared. The intervals resample the
    trials, so they show the influence of single trials.

    Returns:
        Most important first; empty with fewer than `LEAST_TRIALS` complete trials.

    Source:
        Watanabe, Bansal & Hutter, PED-ANOVA, IJCAI 2023, arXiv 2304.10255.
    """
    trials = [v for v in view.complete if math.isfinite(v.result.score or math.nan)]
    names = _common_names(trials)
    if len(trials) < LEAST_TRIALS or not names:
        return ()
    space = {**observed_space([v.trial.values for v in trials]), **view.space}
    shares = _shares(trials, names, space, view)
    if not shares:
        return ()
    rng = np.random.default_rng(seed)
    draws = [
        _shares([trials[i] for i in rows], names, space, view)
        for rows in rng.integers(0, len(trials), (N_RESAMPLES, len(trials)))
    ]
    importances = [
        Importance(
            name,
            share,
            *(
                float(q)
                for q in np.quantile([d.get(name, 0) for d in draws], [0.05, 0.95])
            ),
        )
        for name, share in shares.items()
    ]
    return tuple(sorted(importances, key=lambda importance: -importance.share))


def _common_names(trials: Sequence[TrialView]) -> list[str]:
    """Return the parameters of every trial with more than one value."""
    if not trials:
        return []
    common = set.intersection(*(set(v.trial.values) for v in trials))
    return [
        name
        for name in trials[0].trial.values
        if name in common and len({v.trial.values[name] for v in trials}) > 1
    ]


def _shares(
    trials: Sequence[TrialView],
    names: Sequence[str],
    space: Mapping[str, ParameterView],
    view: SearchView,
) -> dict[str, float]:
    """Return shares that sum to 1, or {} if all trials are equally good."""
    import optuna

    is_max = view.context.objective.direction == "max"
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(direction="maximize" if is_max else "minimize")
            study.add_trials([_as_optuna(v, names, space) for v in trials])
            importances = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            )
    except (ValueError, RuntimeError):  # all trials equally good
        return {}
    finally:
        optuna.logging.set_verbosity(verbosity)
    total = sum(importances.values())
    return {n: float(v / total) for n, v in importances.items()} if total > 0 else {}


def _as_optuna(
    view: TrialView, names: Sequence[str], space: Mapping[str, ParameterView]
) -> Any:
    import optuna

    params, distributions = {}, {}
    for name in names:
        value, distribution = _coordinate(view.trial.values[name], space[name])
        params[name], distributions[name] = value, distribution
    return optuna.trial.create_trial(
        params=params, distributions=distributions, value=float(view.result.score or 0)
    )


def _coordinate(value: Value, parameter: ParameterView) -> tuple[Value, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if parameter.low is None or parameter.high is None:
        choices = tuple(dict.fromkeys([*parameter.choices, value]))
        return value, CategoricalDistribution(choices)
    assert isinstance(value, int | float)
    # A default may lie outside of the range, which Optuna does not accept.
    low, high = parameter.low, max(parameter.high, parameter.low + 1e-12)
    place = min(max(float(value), low), high)
    return place, FloatDistribution(low, high, log=parameter.is_log)
