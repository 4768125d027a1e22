import json
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.errors import UnknownReference
from ktune.models.promotion import rolling_back
from ktune.models.registry.alias_changes import (
    AliasChange,
    ChampionChanged,
    Expected,
    champions,
    change_alias,
    read_alias_changes,
    roll_back,
)
from ktune.tracking.location import StoreLocation
from ktune.tracking.model_registry import Registration, give_alias, tag_model
from ktune.tracking.store import Store


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


@pytest.mark.parametrize("text", ["{}", "no JSON", "[1]", '{"alias": "champion"}'])
def test_edited_records_of_changes_are_left_out(text, model):
    move(model, 1)
    for key in ("ktune.move.0002", "ktune.move.last"):
        tag_model(model, "m", key, text)
    assert move(model, 2).before == 1
    assert roll_back(model, "m").version == 1


def test_a_number_is_not_given_again_after_a_record_was_deleted(model):
    for number in (1, 2, 3):
        move(model, number)
    model.client.delete_registered_model_tag("m", "ktune.move.0002")
    move(model, 1)
    assert [m.version for m in read_alias_changes(model, "m")] == [1, 3, 1]


def test_more_changes_than_four_digits_keep_their_order(model):
    move(model, 1)
    record = model.client.get_registered_model("m").tags["ktune.move.0001"]
    for number in (9999, 10000):
        tag_model(model, "m", f"ktune.move.{number}", record)
    move(model, 2)
    assert read_alias_changes(model, "m")[-1].version == 2
    assert "ktune.move.10001" in model.client.get_registered_model("m").tags


def test_two_rollbacks_at_once_go_back_twice(model):
    for number in (1, 2, 3):
        move(model, number)
    threads = [threading.Thread(target=roll_back, args=(model, "m")) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert holder(model) == 1
    back = read_alias_changes(model, "m")[3:]
    assert [(change.version, change.before) for change in back] == [(2, 3), (1, 2)]


def test_a_champion_that_has_changed_is_not_replaced(model):
    move(model, 1)
    with pytest.raises(ChampionChanged):
        change_alias(
            model, version(3), "champion", how="gate", reason="", expected=Expected(2)
        )
    assert holder(model) == 1
    assert len(read_alias_changes(model, "m")) == 1


@pytest.fixture
def server(model, tmp_path):
    """The same store behind an address that other machines use too."""
    return Store(StoreLocation("http://host", None, None, tmp_path), model.client)


def during_sleep(monkeypatch, action):
    """Do something while the first pause lasts; the others last no time."""
    actions = [action]

    def sleep(seconds):
        if actions:
            actions.pop()()

    clock = SimpleNamespace(sleep=sleep)
    monkeypatch.setattr("ktune.models.registry.alias_changes.time", clock)


def record(number, at):
    return json.dumps(asdict(AliasChange("champion", number, None, "gate", "", at)))


def test_on_a_server_a_number_is_not_given_twice(server, monkeypatch):
    def other_process_writes_the_same_number():
        other = record(3, "2026-01-01T00:00:00+00:00")
        tag_model(server, "m", "ktune.move.0001", other)

    during_sleep(monkeypatch, other_process_writes_the_same_number)
    move(server, 1)
    assert [m.version for m in read_alias_changes(server, "m")] == [3, 1]
    assert holder(server) == 1


def test_on_a_server_a_change_under_way_is_awaited(server, monkeypatch):
    tag_model(server, "m", "ktune.move.0001", record(3, datetime.now(UTC).isoformat()))
    during_sleep(monkeypatch, lambda: give_alias(server, "m", "champion", 3))
    assert move(server, 1).before == 3


def test_on_a_server_a_change_that_a_kill_cut_off_is_passed_over(server, monkeypatch):
    tag_model(server, "m", "ktune.move.0001", record(3, "2026-01-01T00:00:00+00:00"))
    during_sleep(monkeypatch, lambda: None)
    assert move(server, 1).before is None


def test_a_rollback_needs_the_name_of_the_model_only(model, monkeypatch):
    """Its searches may be deleted in MLflow."""
    move(model, 1)
    move(model, 2)
    monkeypatch.setattr(rolling_back, "write_card", lambda *_: None)
    assert rolling_back.rollback("m", tracking_uri=model.location.uri).version == 1
    with pytest.raises(UnknownReference):
        rolling_back.rollback("n", tracking_uri=model.location.uri)
