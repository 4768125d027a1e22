"""Folds one after another: the same result as in step, and stopped in between."""

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktune.data.dataset import Dataset, Kind, Task
from ktune.data.folds import split
from ktune.evaluation.context import make_context
from ktune.evaluation.evaluate import evaluate_trial
from ktune.experiment.experiment import Experiment
from ktune.testing.fakes import FakeModel, FakeTrainer, make_trial
from ktune.trial import TrialState

N_FOLDS, N_ROWS = 3, 60
FIT = {"epochs": 6, "early_stopping": 2}


def evaluate(script, *, pruner, fit=None, report=lambda _: True, **more):
    y = np.arange(N_ROWS) % 2
    x = np.arange(2.0 * N_ROWS).reshape(N_ROWS, 2)
    data = Dataset("rows", x, y, Task.BINARY, Kind.TABULAR, class_names=("no", "yes"))
    experiment = Experiment(
        name="x",
        data=(x, y),
        build=lambda hp: FakeModel(),
        cv=N_FOLDS,
        fit=fit or FIT,
        pruner=pruner,
    )
    partition = split(data, cv=N_FOLDS, test_size=0.0, seed=0)
    trainer = FakeTrainer(script, **more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys.modules["ktune.evaluation.evaluate"],
            "choose_trainer",
            lambda *_: trainer,
        )
        context = make_context(experiment, data, partition)
        return evaluate_trial(context, make_trial(0), report), trainer


accuracies = st.integers(2, 10).map(lambda tenths: tenths / 10)
scripts = st.lists(st.tuples(*[accuracies] * N_FOLDS), min_size=1, max_size=6)


@settings(deadline=None, max_examples=15)
@given(
    script=scripts,
    patience=st.sampled_from([1, 2, 5, False]),
    stops_after=st.sampled_from([None, 1, 3]),
)
def test_complete_trials_equal_those_of_folds_trained_together(
    script, patience, stops_after
):
    fit = {"epochs": 6, "early_stopping": patience}
    found = [
        evaluate(script, pruner=pruner, fit=fit, stops_after=stops_after)[0]
        for pruner in ("none", "racing")
    ]
    step, race = (dataclasses.replace(result, seconds=0.0) for result in found)
    assert step.state is TrialState.COMPLETE
    assert step == race


def test_a_trial_stopped_between_folds_has_the_results_so_far():
    told = []

    def report(said):
        told.append((said.unit, said.epoch, said.epochs, round(said.value, 3)))
        return said.epoch < 1

    script = [(0.5, 0.6, 0.9), (0.7, 0.8, 0.9)]
    result, trainer = evaluate(script, pruner="racing", report=report)
    assert told == [("fold", 0, 3, 0.7), ("fold", 1, 3, 0.75)]
    assert result.state is TrialState.PRUNED
    assert len(trainer.tasks) == 2
    assert all(training.n_closed == 1 for training in trainer.trainings)
    assert [fold.index for fold in result.folds] == [0, 1]
    assert result.score == pytest.approx(0.75)
    assert len(result.curves["val_accuracy"]) == 2


def test_the_last_fold_cannot_be_saved():
    result, _ = evaluate(
        [(0.5, 0.6, 0.9)], pruner="racing", report=lambda r: r.epoch < 2
    )
    assert result.state is TrialState.COMPLETE


def test_a_fold_that_diverges_fails_the_trial():
    result, trainer = evaluate([ValueError("boom")], pruner="racing:aggressive")
    assert result.state is TrialState.FAILED
    assert trainer.trainings[0].n_closed == 1
