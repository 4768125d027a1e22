"""The folds of one trial trained by several: the same result as by one alone."""

import contextlib
import dataclasses
import sys
import threading
from multiprocessing import Pipe

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktune.data.dataset import Dataset, Kind, Task
from ktune.data.folds import split
from ktune.errors import TrialFailed
from ktune.evaluation.context import make_context
from ktune.evaluation.evaluate import work_with
from ktune.experiment.experiment import Experiment
from ktune.testing.fakes import FakeModel, FakeTrainer, make_trial
from ktune.trial import TrialState

N_FOLDS, N_ROWS = 5, 100


@contextlib.contextmanager
def at_work(script, *, patience=2, pruner="none", **more):
    """Yield what is done with trials of a fake trainer."""
    y = np.arange(N_ROWS) % 2
    x = np.arange(2.0 * N_ROWS).reshape(N_ROWS, 2)
    data = Dataset("rows", x, y, Task.BINARY, Kind.TABULAR, class_names=("no", "yes"))
    experiment = Experiment(
        name="x",
        data=(x, y),
        build=lambda hp: FakeModel(),
        cv=N_FOLDS,
        fit={"epochs": 6, "early_stopping": patience},
        pruner=pruner,
    )
    partition = split(data, cv=N_FOLDS, test_size=0.0, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys.modules["ktune.evaluation.evaluate"],
            "choose_trainer",
            lambda name, task: FakeTrainer(script, **more),
        )
        yield work_with(make_context(experiment, data, partition))


def evaluate_shared(work, n_parts, report=lambda _: True):
    """Evaluate trial 0, helped by threads."""
    lines, threads = [], []
    for part in range(1, n_parts):
        leader_end, worker_end = Pipe()
        arguments = (make_trial(0), part, n_parts, worker_end)
        threads.append(threading.Thread(target=work.help, args=arguments))
        threads[-1].start()
        lines.append(leader_end)
    result = work.evaluate(make_trial(0), report, workers=lines)
    for thread, line in zip(threads, lines, strict=True):
        line.close()
        thread.join(timeout=10)
        assert not thread.is_alive()
    return result


def without_time(result):
    return dataclasses.replace(result, seconds=0.0)


accuracies = st.integers(2, 10).map(lambda tenths: tenths / 10)
scripts = st.lists(st.tuples(*[accuracies] * N_FOLDS), min_size=1, max_size=6)


@settings(deadline=None, max_examples=15)
@given(
    script=scripts,
    patience=st.sampled_from([1, 2, False]),
    stops_after=st.sampled_from([None, 1, 3]),
    n_parts=st.integers(2, N_FOLDS),
)
def test_shared_folds_give_what_one_process_gives(
    script, patience, stops_after, n_parts
):
    with at_work(script, patience=patience, stops_after=stops_after) as work:
        alone = without_time(work.evaluate(make_trial(0), lambda _: True))
        shared = without_time(evaluate_shared(work, n_parts))
    assert shared == alone


def test_a_trial_of_several_can_be_stopped():
    with at_work([[0.5] * N_FOLDS]) as work:
        result = evaluate_shared(work, 3, report=lambda report: report.epoch < 1)
    assert (result.state, result.epochs) == (TrialState.PRUNED, 2)


def test_a_failure_in_a_worker_fails_the_trial_for_the_same_reason():
    script = [[0.5] * N_FOLDS, TrialFailed("the loss is nan")]
    with at_work(script) as work:
        helped = evaluate_shared(work, 2)
        alone = work.evaluate(make_trial(0), lambda _: True)
    assert helped.failure == alone.failure


def test_a_dead_worker_fails_the_trial():
    leader_end, worker_end = Pipe()
    worker_end.close()
    with at_work([[0.5] * N_FOLDS]) as work:
        result = work.evaluate(make_trial(0), lambda _: True, workers=[leader_end])
    assert result.failure.kind == "WorkerDied"


def test_a_worker_ends_with_its_leader():
    leader_end, worker_end = Pipe()
    leader_end.close()
    with at_work([[0.5] * N_FOLDS]) as work:
        arguments = (make_trial(0), 1, 2, worker_end)
        thread = threading.Thread(target=work.help, args=arguments, daemon=True)
        thread.start()
        thread.join(timeout=10)
    assert not thread.is_alive()


def test_folds_that_race_are_not_shared():
    with at_work([[0.5] * N_FOLDS]) as work:
        assert work.most_parts == N_FOLDS
    with at_work([[0.5] * N_FOLDS], pruner="racing") as work:
        assert work.most_parts == 1
