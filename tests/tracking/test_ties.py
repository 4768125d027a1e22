"""Trials rank the same whether results or their records in MLflow are ranked."""

from dataclasses import replace

import pytest
from made_up_searches import add_search, trial_result

from ktune.metrics.ranking import Goal, rank_results
from ktune.tracking.reader import find_search, list_trials, rank_trials, read_trial


def result(score, log_loss):
    found = trial_result(score)
    folds = [
        replace(
            fold,
            validation={**fold.validation, "log_loss": log_loss},
            train={**fold.train, "log_loss": log_loss},
        )
        for fold in found.folds
    ]
    return replace(found, folds=tuple(folds), n_parameters=10)


@pytest.fixture
def searched(store):
    logger = add_search(store, result(0.80, 0.5), result(0.80, 0.3), result(0.7, 0.1))
    return find_search(store, logger.run_id)


def test_records_rank_as_the_results_they_hold(store, searched):
    runs = list_trials(store, searched)
    for tie_breaker, first in (("log_loss", 1), ("", 0)):
        goal = Goal(searched.goal.objectives, tie_breaker=tie_breaker)
        ranked = rank_trials(runs, goal)
        results = rank_results([read_trial(store, run) for run in runs], goal)
        assert [run.number for run in ranked] == [t.number for t, _ in results]
        assert ranked[0].number == first


def test_a_search_without_the_tag_of_a_tie_breaker_ranks_by_score_alone(searched):
    assert searched.goal.tie_breaker == ""
