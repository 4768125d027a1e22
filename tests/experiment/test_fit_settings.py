import numpy as np
import pytest

from ktune.errors import ExperimentError
from ktune.experiment.fit_settings import FitSettings, make_fit_settings


def complaint(**given):
    with pytest.raises(ExperimentError) as raised:
        make_fit_settings(given)
    return str(raised.value)


def test_nothing_said_means_the_defaults():
    assert make_fit_settings({}) == FitSettings()


def test_what_is_said_is_taken():
    given = {
        "batch_size": 64,
        "epochs": 3,
        "early_stopping": False,
        "class_weight": "balanced",
        "callbacks": [print],
    }
    assert make_fit_settings(given) == FitSettings(**given)


@pytest.mark.parametrize("callbacks", [[], (), [print]])
def test_callbacks_are_a_list(callbacks):
    assert make_fit_settings({"callbacks": callbacks}).callbacks == callbacks


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("batch_size", "32"),
        ("batch_size", 32.0),
        ("epochs", True),
        ("epochs", None),
        ("early_stopping", True),
        ("early_stopping", 0),
        ("early_stopping", None),
        ("early_stopping", "5"),
        ("class_weight", "balance"),
        ("class_weight", np.ones(2)),
        ("resample", "up"),
        ("resample", True),
        ("callbacks", print),
        ("callbacks", None),
        ("callbacks", "early"),
    ],
)
def test_a_bad_value_is_named_with_what_is_valid(name, value):
    message = complaint(**{name: value})
    assert message.startswith(f"`fit` setting '{name}' must be ")
    assert message.endswith(f"got {value!r}")


def test_a_misspelt_setting_is_answered_with_the_nearest_one():
    message = complaint(batchsize=32)
    assert message.startswith("`fit` has no setting 'batchsize'. Known: batch_size,")
    assert message.endswith("Did you mean 'batch_size'?")


def test_names_that_are_no_text_are_unknown_settings():
    with pytest.raises(ExperimentError, match="has no setting 3"):
        make_fit_settings({3: 4})


def test_all_problems_come_in_one_message():
    message = complaint(epocs=3, batch_size=0, early_stopping=0)
    assert message.count("`fit`") == 3


def test_none_can_be_one_of_the_choices_of_a_search():
    given = {"class_weight": "none", "resample": "none"}
    assert make_fit_settings(given) == FitSettings()
    assert make_fit_settings({"resample": "over"}).resample == "over"


def test_class_weights_must_not_be_negative():
    with pytest.raises(ExperimentError, match="a number of 0 or more for each class"):
        make_fit_settings({"class_weight": {0: -1.0, 1: 2.0}})
