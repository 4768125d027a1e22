import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.errors import UnknownReference
from ktune.models.registry.alias_changes import (
    AliasChange,
    champions,
    change_alias,
    read_alias_changes,
    roll_back,
)
from ktune.tracking.model_registry import Registration


@pytest.fixture
def model(store):
    """A registered model of three versions without files."""
    store.client.create_registered_model("m")
    for _ in range(3):
        store.client.create_model_version("m", source="file:///nowhere")
    return store


def version(number):
    return Registration("m", number, None, "")


def move(store, number, alias="champion", how="gate", reason="better"):
    return change_alias(store, version(number), alias, how=how, reason=reason)


def holder(store, alias="champion"):
    return int(store.client.get_model_version_by_alias("m", alias).version)


def test_a_move_is_a_tag_with_reason_and_time(model):
    move(model, 1, reason="first version of this model")
    move(model, 2, how="force", reason="within noise")
    first, second = read_alias_changes(model, "m")
    assert (first.version, first.before, first.how) == (1, None, "gate")
    assert (second.version, second.before, second.how) == (2, 1, "force")
    assert second.reason == "within noise"
    assert second.at.endswith("+00:00")
    gate = model.client.get_model_version("m", "2").tags["ktune.gate"]
    assert gate == f"champion since {second.at} by force: within noise"


def test_a_challenger_that_becomes_champion_is_no_challenger_any_more(model):
    move(model, 2, "challenger")
    move(model, 2)
    assert list(model.client.get_registered_model("m").aliases) == ["champion"]
    assert holder(model) == 2


def test_rolling_back_goes_from_champion_to_champion(model):
    for number in (1, 2, 3):
        move(model, number)
    assert roll_back(model, "m").version == 2
    assert roll_back(model, "m").version == 1
    assert holder(model) == 1
    with pytest.raises(UnknownReference, match="first champion"):
        roll_back(model, "m")


def test_after_a_rollback_the_next_champion_is_put_on_top_of_it(model):
    for number in (1, 2):
        move(model, number)
    roll_back(model, "m")
    move(model, 3)
    assert roll_back(model, "m").version == 1


def test_a_challenger_does_not_count_as_an_earlier_champion(model):
    move(model, 1)
    move(model, 2, "challenger")
    with pytest.raises(UnknownReference, match="first champion"):
        roll_back(model, "m")


def test_deleted_versions_are_passed_over(model):
    for number in (1, 2, 3):
        move(model, number)
    model.client.delete_model_version("m", "2")
    assert roll_back(model, "m").version == 1


def test_a_champion_made_before_moves_were_noted_is_known(model):
    model.client.set_registered_model_alias("m", "champion", "1")
    move(model, 3)
    assert roll_back(model, "m").version == 1


def test_without_a_champion_there_is_nothing_to_go_back_from(model):
    with pytest.raises(UnknownReference, match="no champion"):
        roll_back(model, "m")


def test_more_moves_than_nine_keep_their_order(model):
    for number in (1, 2, 3) * 4:
        move(model, number)
    assert [m.version for m in read_alias_changes(model, "m")] == [1, 2, 3] * 4


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_forward_moves_end_with_the_version_they_ended_with(numbers):
    alias_changes = [AliasChange("champion", n, None, "gate", "", "") for n in numbers]
    line = champions(alias_changes)
    assert line[-1] == numbers[-1]
    assert all(a != b for a, b in zip(line, line[1:], strict=False))
