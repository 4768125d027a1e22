"""Compare trials by tests over folds, with a reason where no test is possible."""

from collections.abc import Sequence

import numpy as np

from ktune.data.dataset import Task
from ktune.errors import UnknownReference
from ktune.metrics.objectives import is_of_model, objective_of_task
from ktune.metrics.scores import LOSS, Objective
from ktune.report.comparison.paired_test import (
    Difference,
    adjust_by_holm,
    corrected_t_test,
    unpaired_test,
)
from ktune.report.comparison.view import MOST_CONTENDERS, Comparison, Contender, Duel

SIGNIFICANT = 0.05


def compare(contenders: Sequence[Contender]) -> Comparison:
    """Compare two to eight trials; each is tested against the first.

    Raises:
        UnknownReference: There are fewer or more trials, or a trial has no scores.
    """
    _check(contenders)
    metrics = _common_metrics(contenders)
    objective = _objective(contenders, metrics)
    duels = [_duel(contenders[0], other, objective) for other in contenders[1:]]
    return Comparison(
        contenders=contenders,
        objective=objective,
        metrics=[objective.metric, *(m for m in metrics if m != objective.metric)],
        duels=_with_conclusions(duels, objective),
        warnings=_warnings(contenders, objective),
    )


def _check(contenders: Sequence[Contender]) -> None:
    if not 2 <= len(contenders) <= MOST_CONTENDERS:
        raise UnknownReference(
            f"`compare` takes two to {MOST_CONTENDERS} trials or searches; "
            f"got {len(contenders)}"
        )
    for contender in contenders:
        if not contender.view.has_scores:
            raise UnknownReference(
                f"{contender.label} failed, so there is nothing to compare. "
                "`ktune runs SEARCH` lists trials with scores."
            )


def _common_metrics(contenders: Sequence[Contender]) -> list[str]:
    """Return the metrics of all contenders; losses only within one search.

    Searches may compile their models with different losses. Metrics of the model count
    in a custom task, which has no others.
    """
    shared = [
        metric
        for metric in contenders[0].view.result.folds[0].validation
        if all(metric in c.view.result.folds[0].validation for c in contenders)
    ]
    is_one_search = len({c.search_id for c in contenders}) == 1
    if is_one_search:
        return shared
    if _task(contenders) is Task.CUSTOM:
        return [metric for metric in shared if not metric.endswith(LOSS)]
    return [metric for metric in shared if not is_of_model(metric)]


def _task(contenders: Sequence[Contender]) -> Task:
    return contenders[0].view.context.task


def _objective(contenders: Sequence[Contender], metrics: Sequence[str]) -> Objective:
    for contender in contenders:
        objective = contender.view.context.objective
        if objective.metric in metrics:
            return objective
    if not metrics:
        names = ", ".join(c.label for c in contenders)
        if _task(contenders) is Task.CUSTOM:
            raise UnknownReference(
                f"{names} have no metric in common, and losses of two searches may "
                "differ. Compile their models with a common metric: metrics=[…]"
            )
        raise UnknownReference(f"{names} have no metric in common: different tasks?")
    return objective_of_task(metrics[0], _task(contenders))


def _duel(first: Contender, other: Contender, objective: Objective) -> Duel:
    obstacle = _why_meaningless(first, other, objective)
    if obstacle:
        return Duel(
            first.label,
            other.label,
            None,
            None,
            obstacle,
            f"{other.label} is not compared",
        )
    unpaired = _why_unpaired(first, other)
    a = first.view.scores(objective.metric, "validation")
    b = other.view.scores(objective.metric, "validation")
    share = max(_test_share(first), _test_share(other))
    difference = (
        unpaired_test(b.tolist(), a.tolist(), test_share=share)
        if unpaired
        else corrected_t_test((b - a).tolist(), test_share=share)
    )
    return Duel(first.label, other.label, difference, None, unpaired, "")


def _why_meaningless(first: Contender, other: Contender, objective: Objective) -> str:
    if first.data_digest != other.data_digest:
        return (
            f"evaluated on different data ({first.data_name} {first.data_digest}, "
            f"{other.data_name} {other.data_digest}): a difference may come from the "
            "trials or from the rows"
        )
    for contender in (first, other):
        scores = contender.view.scores(objective.metric, "validation")
        if len(scores) < 2:
            return f"{contender.label} has one fold, so its noise is unknown"
        if not np.isfinite(scores).all():
            return f"{objective.metric} is undefined in a fold of {contender.label}"
    return ""


def _why_unpaired(first: Contender, other: Contender) -> str:
    if first.folds_digest == other.folds_digest:
        return ""
    return (
        "unpaired: the folds differ (another `cv`, `seed` or `test_size`, or "
        "`reshuffle`), so scores cannot be compared fold by fold, and only a larger "
        "difference is significant"
    )


def _test_share(contender: Contender) -> float:
    folds = contender.view.result.folds
    return sum(f.n_validation for f in folds) / sum(f.n_train for f in folds)


def _with_conclusions(duels: Sequence[Duel], objective: Objective) -> list[Duel]:
    """Adjust the p-values of all tests together, then add a conclusion to each."""
    tested = [duel.difference for duel in duels if duel.difference is not None]
    adjusted = iter(adjust_by_holm([d.p_value for d in tested]))
    concluded = []
    for duel in duels:
        if duel.difference is None:
            concluded.append(duel)
            continue
        p = next(adjusted)
        text = _in_words(duel, duel.difference, p, objective)
        concluded.append(
            Duel(duel.first, duel.other, duel.difference, p, duel.note, text)
        )
    return concluded


def _in_words(duel: Duel, difference: Difference, p: float, goal: Objective) -> str:
    if p >= SIGNIFICANT:
        return (
            f"{duel.other} and {duel.first} do not differ significantly: the "
            f"difference is between {_signed(difference.low)} and "
            f"{_signed(difference.high)}"
        )
    is_better = goal.is_better(difference.mean, 0.0)
    return (
        f"{duel.other} is {'better' if is_better else 'worse'} than {duel.first} by "
        f"{abs(difference.mean):.4f}"
    )


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _warnings(contenders: Sequence[Contender], objective: Objective) -> list[str]:
    warnings = []
    if len({c.data_digest for c in contenders}) > 1:
        warnings.append("The trials were evaluated on different data.")
    elif len({c.folds_digest for c in contenders}) > 1:
        warnings.append(
            "The trials were evaluated on different folds of the same data."
        )
    if any(c.view.context.objective != objective for c in contenders):
        warnings.append(
            "The searches had different objectives; each trial was selected by its own."
        )
    pruned = [c.label for c in contenders if not c.view.result.is_complete]
    if pruned:
        warnings.append(f"{', '.join(pruned)}: pruned, so not fully trained.")
    return warnings
