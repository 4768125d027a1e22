"""The rules on trials of a custom task, whose skill is by its own loss."""

import io
from dataclasses import replace

import numpy as np
import pytest

from ktune.data.dataset import Task
from ktune.diagnosis import Baselines, Context, SearchView, TrialView, diagnose_trial
from ktune.diagnosis.kt012_selection_optimism import SelectionOptimism
from ktune.diagnosis.rule import Verdict
from ktune.metrics.intervals import Estimate
from ktune.metrics.scores import Objective
from ktune.trial import FoldResult, Trial, TrialResult, TrialState

CONSTANT = 2.0
"""Loss of the best constant prediction."""


def view(train, validation, *, constant=CONSTANT, predictions=None, n_folds=3):
    """Return a trial from its losses by epoch, alike in all folds."""
    best = int(np.argmin(validation))
    folds = tuple(
        FoldResult(k, 200, 100, {"loss": validation[best]}, {"loss": train[best]})
        for k in range(n_folds)
    )
    result = TrialResult(
        TrialState.COMPLETE,
        score=validation[best],
        best_epoch=best,
        epochs=len(train),
        folds=folds,
        curves={
            "train_loss": (tuple(train),) * n_folds,
            "val_loss": (tuple(validation),) * n_folds,
        },
        out_of_fold=b"" if predictions is None else packed(predictions),
    )
    baselines = Baselines(constant={} if constant is None else {"loss": constant})
    objective = Objective("loss", "min")
    context = Context(objective, Task.CUSTOM, baselines=baselines)
    return TrialView(Trial(0, {}, seed=1), result, context)


def packed(predictions):
    buffer = io.BytesIO()
    rows = np.arange(len(predictions))
    targets = {"target/a": rows * 1.0, "target/b": rows * 2.0}
    arrays = {"prediction/a": predictions, "prediction/b": 0 * predictions}
    np.savez(buffer, row=rows, fold=rows % 2, **targets, **arrays)
    return buffer.getvalue()


def falling(end, start=CONSTANT, n_epochs=10):
    """Return losses that fall quickly, and then hardly."""
    return list(end + (start - end) * np.exp(-np.arange(n_epochs) * 1.5))


PLANTED = {
    "good": (view(falling(0.2), falling(0.22)), Verdict.GOOD),
    "overfit": (view(falling(0.05), falling(0.9)), Verdict.OVERFIT),
    "overfit, hidden by early stopping": (
        view(falling(0.01), [1.9, 1.6, 1.55, 1.7, 1.9, 2.1, 2.3, 2.5, 2.7, 2.9]),
        Verdict.OVERFIT,
    ),
    "underfit": (view([1.99] * 10, [2.0] * 10), Verdict.UNDERFIT),
    "cut short": (
        view(list(np.linspace(2.0, 1.0, 10)), list(np.linspace(2.0, 1.05, 10))),
        Verdict.UNDERFIT,
    ),
    "unstable": (view([1.8, 0.3] * 5, [1.8, 0.35] * 5), Verdict.UNSTABLE),
    "dead": (
        view(falling(0.2), falling(0.22), predictions=np.zeros(40)),
        Verdict.UNDERFIT,
    ),
    "alive": (
        view(falling(0.2), falling(0.22), predictions=np.arange(40.0)),
        Verdict.GOOD,
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_case_gets_its_verdict(case):
    trial, verdict = PLANTED[case]
    diagnosis = diagnose_trial(trial)
    assert diagnosis.verdict is verdict, diagnosis.findings


def test_rules_for_classes_say_why_they_do_not_apply():
    reasons = diagnose_trial(PLANTED["alive"][0]).not_applicable
    assert reasons["KT009"] == "a custom task has no classes"
    assert reasons["KT010"] == "only probabilities of classes can be miscalibrated"


@pytest.mark.parametrize(
    ("constant", "losses", "reason"),
    [
        (None, falling(0.2), "of a constant prediction is not known"),
        (CONSTANT, [1.0, -0.5, -0.9], "falls below 0"),
    ],
)
def test_without_a_level_of_no_skill_rules_say_why(constant, losses, reason):
    reasons = diagnose_trial(view(losses, losses, constant=constant)).not_applicable
    assert reason in reasons["KT001"]
    assert reason in reasons["KT003"]


@pytest.mark.parametrize(("loss", "is_worse"), [(1.2, True), (0.25, False)])
def test_selection_optimism_is_measured_by_the_loss(loss, is_worse):
    trial = view(falling(0.2), falling(0.22))
    search = SearchView([trial], trial.context)
    test = {"loss": Estimate(loss, loss - 0.1, loss + 0.1)}
    found = SelectionOptimism().check(replace(search, test=test))
    assert (found is not None) is is_worse
