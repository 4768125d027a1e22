import pytest
from views import classification_view, with_context

from ktune.diagnosis import DataFacts, NotApplicable
from ktune.diagnosis.kt008_suspiciously_good import SuspiciouslyGood


def test_validation_above_training_is_found():
    found = SuspiciouslyGood().check(classification_view(0.7, 0.9))
    assert found is not None
    assert found.verdict is None


def test_validation_above_training_within_noise_is_in_order():
    view = with_context(
        classification_view(0.9, 0.92, n_validation=20), facts=DataFacts()
    )
    assert SuspiciouslyGood().check(view) is None


def test_one_feature_that_says_it_all_is_named():
    facts = DataFacts(best_feature="paid_<back>", best_feature_score=0.995)
    view = with_context(classification_view(1.0, 0.999), facts=facts)
    found = SuspiciouslyGood().check(view)
    assert found is not None
    assert "paid_<back>" in found.message


def test_duplicates_are_found():
    facts = DataFacts(duplicates_in_folds=0.3, duplicates_in_test=0.0)
    view = with_context(classification_view(0.95, 0.94), facts=facts)
    found = SuspiciouslyGood().check(view)
    assert found is not None
    assert "30 %" in found.message


def test_not_applicable_when_the_data_were_not_searched():
    with pytest.raises(NotApplicable, match="not searched"):
        SuspiciouslyGood().check(classification_view(0.95, 0.94))
