"""Limits on the cost of a model as Optuna constraints, which TPE learns to meet.

Of Optuna's samplers only TPE learns from a trial that was stopped before its first
score. It needs constraint values on *every* trial, and the sampler of a study sets
them in `tell`.
"""

from collections.abc import Sequence

from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from ktune.searchers.trial_record import RESULT


def make_tpe(seed: int) -> TPESampler:
    """Return a TPE sampler that avoids models that are too large or too slow.

    It treats running trials as poor ones (constant liar), so that parallel workers try
    different configurations.
    """
    return TPESampler(seed=seed, constraints_func=_violations, constant_liar=True)


def _violations(trial: FrozenTrial) -> Sequence[float]:
    """Return constraint values; a positive value is a violation."""
    return (trial.user_attrs.get(RESULT, {}).get("violation", 0.0),)
