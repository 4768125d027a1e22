import pytest
from views import classification_view, regression_view, with_context

from ktune.diagnosis import NotApplicable
from ktune.diagnosis.kt009_class_left_behind import ClassLeftBehind


def view_of(confusion, names=("cat", "dog", "owl")):
    view = classification_view(0.9, 0.9, confusion=confusion)
    return with_context(view, class_names=names)


def test_a_missed_class_is_named_with_what_it_is_taken_for():
    found = ClassLeftBehind().check(view_of(((90, 5, 5), (4, 95, 1), (2, 30, 8))))
    assert found is not None
    assert "'owl'" in found.message
    assert "'dog'" in found.message
    assert "class_weight" in found.remedy


def test_even_recalls_are_in_order():
    assert (
        ClassLeftBehind().check(view_of(((90, 5, 5), (4, 92, 4), (3, 5, 92)))) is None
    )


def test_a_class_of_few_rows_is_not_judged():
    confusion = ((90, 5, 5), (4, 92, 4), (2, 2, 0))
    assert ClassLeftBehind().check(view_of(confusion)) is None


def test_not_applicable_to_regression():
    with pytest.raises(NotApplicable, match="confusion"):
        ClassLeftBehind().check(regression_view(0.9, 0.9))
