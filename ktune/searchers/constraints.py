"""Limits on what a model costs, as Optuna knows them: TPE learns to keep to them.

Of Optuna's samplers only TPE learns from a trial that was given up before it had any
score. It wants to find a violation noted on *every* trial it reads, and the sampler a
study has when a trial is told is what notes it.
"""

from collections.abc import Sequence

from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from ktune.searchers.trial_record import RESULT


def make_tpe(seed: int) -> TPESampler:
    """Return a TPE that keeps away from models that were too large or too slow.

    It takes running trials for poor ones (the constant liar), so that workers side by
    side do not all try the same.
    """
    return TPESampler(seed=seed, constraints_func=_violations, constant_liar=True)


def _violations(trial: FrozenTrial) -> Sequence[float]:
    """Return what counts as violated when it is above 0."""
    return (trial.user_attrs.get(RESULT, {}).get("violation", 0.0),)
