import numpy as np
import pytest
from views import classification_view, search_view

from ktune.diagnosis import NotApplicable, ParameterView
from ktune.diagnosis.kt011_edge_of_range import EdgeOfRange

RATE = ParameterView("learning_rate", 1e-4, 1e-2, is_log=True)


def search(best_exponent, n_trials=20):
    """Trials whose score falls with the distance from an exponent of the rate."""
    trials = []
    for number, exponent in enumerate(np.linspace(-4, -2, n_trials)):
        score = 0.9 - 0.1 * abs(exponent - best_exponent)
        values = {"learning_rate": float(10**exponent), "dropout": 0.0}
        trials.append(classification_view(score, score, values=values, number=number))
    space = {"learning_rate": RATE, "dropout": ParameterView("dropout", 0.0, 0.5)}
    return search_view(trials, space=space)


@pytest.mark.parametrize(("best", "end"), [(-4.5, "lower"), (-1.5, "upper")])
def test_an_optimum_beyond_the_range_is_found(best, end):
    found = EdgeOfRange().check(search(best))
    assert found is not None
    assert "`learning_rate`" in found.message
    assert end in found.message
    assert "Widen" in found.remedy


def test_an_optimum_inside_is_in_order():
    assert EdgeOfRange().check(search(-3)) is None


def test_a_dropout_of_zero_is_a_natural_end():
    found = EdgeOfRange().check(search(-4.5))
    assert found is not None
    assert "dropout" not in found.message


def test_not_applicable_with_few_trials_or_unknown_ranges():
    with pytest.raises(NotApplicable, match="10"):
        EdgeOfRange().check(search(-3, n_trials=9))
    with pytest.raises(NotApplicable, match="ranges"):
        EdgeOfRange().check(search_view([classification_view(0.9, 0.9)]))
