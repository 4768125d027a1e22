"""Searches written to MLflow from made-up results, to test how they are read."""

import numpy as np

from ktune.data.dataset import Task
from ktune.data.folds import Partition, make_folds
from ktune.experiment.environment import Environment
from ktune.experiment.experiment import Experiment
from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import Goal
from ktune.testing.fakes import make_trial
from ktune.tracking.search_logger import SearchLogger, SearchStart
from ktune.trial import FoldResult, TrialResult, TrialState

ENVIRONMENT = Environment("3.12", "Linux", "cpu", 2, "0.1.0", {"numpy": "2.0"}, {})


def search_start(name="birds", objective="accuracy", **fields):
    """Return the facts of a search over two folds."""
    y = np.array([0, 1] * 6)
    folds = make_folds(2, y, task=Task.BINARY)
    return SearchStart(
        experiment=Experiment(name=name, data=([[0.0]], [0]), build=print, **fields),
        goal=Goal((make_objective(objective),)),
        data={"name": "toy", "digest": "abc", "n_rows": 12, "n_test_rows": 0},
        partition=Partition(np.zeros((12, 1)), y, folds, np.arange(12)),
        class_names=("no", "yes"),
        environment=ENVIRONMENT,
        sources={"birds.py": b"experiment = ...", "parts/net.py": b"x = 1"},
        git={"commit": "c0ffee", "diff": "--- a"},
        command="ktune search birds.py",
    )


def trial_result(score, state=TrialState.COMPLETE, metric="accuracy"):
    """Return the result of a trial with this score on its first fold."""
    folds = tuple(
        FoldResult(k, 6, 6, {metric: score + 0.1 * k}, {metric: 0.9}) for k in (0, 1)
    )
    curves = {f"val_{metric}": ((0.1, score), (0.2, score + 0.1))}
    return TrialResult(
        state, score=score + 0.05, best_epoch=1, epochs=2, folds=folds, curves=curves
    )


def add_search(store, *results, name="birds", **more):
    """Write a finished search with these results; return its logger."""
    logger = SearchLogger(store, search_start(name, **more))
    for number, result in enumerate(results):
        logger.track(
            make_trial(number, {"units": 8 * (number + 1)}),
            result,
            "good",
            {"findings": []},
        )
    logger.finish(status="FINISHED", reason="all trials done")
    return logger
