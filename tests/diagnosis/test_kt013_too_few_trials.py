import pytest
from views import classification_view, search_view

from ktune.diagnosis import NotApplicable, ParameterView
from ktune.diagnosis.kt013_too_few_trials import TooFewTrials


def search(n_trials, n_parameters=3):
    trials = [
        classification_view(
            0.9,
            0.9,
            number=n,
            values={f"p{k}": n * 0.1 + k for k in range(n_parameters)},
        )
        for n in range(n_trials)
    ]
    return search_view(trials)


def test_few_trials_are_found():
    found = TooFewTrials().check(search(6))
    assert found is not None
    assert "--trials 15" in found.remedy


def test_enough_trials_are_in_order():
    assert TooFewTrials().check(search(15)) is None


def test_a_small_space_that_was_tried_whole_is_in_order():
    space = {"p0": ParameterView("p0", choices=(1, 2, 3))}
    trials = [
        classification_view(0.9, 0.9, number=n, values={"p0": n + 1}) for n in range(3)
    ]
    assert TooFewTrials().check(search_view(trials, space=space)) is None


def test_no_more_trials_are_asked_for_than_the_space_has():
    space = {"p0": ParameterView("p0", choices=(1, 2, 3))}
    trials = [
        classification_view(0.9, 0.9, number=n, values={"p0": n + 1}) for n in range(2)
    ]
    found = TooFewTrials().check(search_view(trials, space=space))
    assert "2 trials for 1 parameter (`p0`)" in found.message
    assert "--trials 3" in found.remedy


def test_not_applicable_when_nothing_was_varied():
    with pytest.raises(NotApplicable, match="varied"):
        TooFewTrials().check(search_view([classification_view(0.9, 0.9)]))
