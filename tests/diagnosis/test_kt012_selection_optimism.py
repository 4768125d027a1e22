import pytest
from views import classification_view, search_view

from ktune.diagnosis import NotApplicable
from ktune.diagnosis.kt012_selection_optimism import SelectionOptimism
from ktune.metrics.intervals import Estimate


def search(test):
    trials = [classification_view(0.95, s, number=n) for n, s in enumerate([0.9, 0.94])]
    return search_view(trials, test={"accuracy": test} if test else {})


def test_a_test_score_below_what_was_promised_is_found():
    found = SelectionOptimism().check(search(Estimate(0.8, 0.75, 0.85)))
    assert found is not None
    assert found.evidence["optimism"] == pytest.approx(0.14)


def test_a_promise_inside_the_interval_is_in_order():
    assert SelectionOptimism().check(search(Estimate(0.9, 0.85, 0.95))) is None


def test_a_better_test_score_is_in_order():
    assert SelectionOptimism().check(search(Estimate(0.97, 0.96, 0.98))) is None


def test_not_applicable_without_a_test_set():
    with pytest.raises(NotApplicable, match="test"):
        SelectionOptimism().check(search(None))
