"""Who becomes champion, decided on numbers alone: models are rows of outputs."""

import io
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from ktune.data.dataset import DataDescription, Task
from ktune.data.folds import Partition
from ktune.errors import StoreError
from ktune.metrics.objectives import make_objective
from ktune.models.registry import card, untouched
from ktune.models.registry import champion as champion_module
from ktune.models.registry.alias_changes import change_alias, read_alias_changes
from ktune.models.registry.champion import (
    Candidate,
    compare_and_assign,
    decide_champion,
    register_best,
)
from ktune.models.registry.gate import Decision
from ktune.tracking.location import StoreLocation
from ktune.tracking.model_registry import Registration, find_version, read_aliases
from ktune.tracking.store import Store

N = 200
Y = np.arange(N) % 2
GOOD = np.where(Y == 1, 0.9, 0.1).astype(np.float32)
POOR = np.where(np.arange(N) % 5 < 2, 1 - GOOD, GOOD).astype(np.float32)
CHAMPION = Registration(
    "m",
    3,
    "champion",
    "",
    {
        "ktune.data_digest": "data",
        "ktune.test_digest": "",
        "ktune.search_run_id": "search",
    },
)


def partition(test_rows):
    return Partition(
        x=np.zeros((4, 1)),
        y=np.zeros(4, int),
        folds=(),
        rows=np.arange(4),
        x_test=np.arange(N).reshape(-1, 1),
        y_test=Y,
        test_rows=test_rows,
    )


TEST_ROWS = np.arange(1000, 1000 + N)
PARTITION = partition(TEST_ROWS)


def context(class_names=("no", "yes")):
    return SimpleNamespace(
        experiment=SimpleNamespace(name="m", seed=0),
        partition=PARTITION,
        objective=make_objective("accuracy"),
        data=DataDescription("d", Task.BINARY, (1,), 2, 4, class_names),
    )


class Served:
    """A registered model that knows its outputs for every test row."""

    def __init__(self, outputs, *, is_logits=False, class_names=("no", "yes")):
        self.spec = {"class_names": class_names, "returns_logits": is_logits}
        self._outputs = outputs

    def unwrap_python_model(self):
        return self

    def predict(self, x):
        return self._outputs[x[:, 0]].reshape(-1, 1)


@pytest.fixture
def present(monkeypatch):
    """Have ``served`` be champion, made on the same data and rows unless said."""

    def make(served, **tags):
        known = {**CHAMPION.tags, "ktune.test_digest": PARTITION.test_digest, **tags}
        found = Registration("m", 3, "champion", "", known)
        monkeypatch.setattr(champion_module, "find_champion", lambda store, name: found)
        monkeypatch.setattr(
            champion_module, "load_served_model", lambda store, version: served
        )

    return make


def recorded_test_rows(monkeypatch, rows):
    buffer = io.BytesIO()
    np.savez(buffer, test_rows=rows)
    monkeypatch.setattr(
        untouched, "read_file", lambda store, run_id, name: buffer.getvalue()
    )


def decide(ours=GOOD, *, digest="data"):
    present = SimpleNamespace(**vars(context()), data_digest=digest)
    return decide_champion(None, present, ours)


def logit(p):
    return np.log(p / (1 - p))


def test_a_better_model_on_the_same_rows_is_promoted(present):
    present(Served(POOR))
    decision = decide()
    assert decision.is_promoted
    assert "200 test rows" in decision.reason
    assert "Note" not in decision.reason


def test_an_equal_model_is_not_promoted(present):
    present(Served(GOOD))
    assert not decide().is_promoted


def test_the_champions_outputs_are_read_its_own_way(present):
    """As probabilities, logits below 0.5 would count as the wrong class."""
    weak = np.where(Y == 1, 0.55, 0.45).astype(np.float32)  # right, but barely
    present(Served(logit(weak), is_logits=True))
    assert not decide().is_promoted


def test_other_test_rows_leave_only_those_both_left_untouched(present, monkeypatch):
    present(Served(POOR), **{"ktune.test_digest": "others"})
    recorded_test_rows(monkeypatch, TEST_ROWS[:150])
    decision = decide()
    assert decision.is_promoted
    assert "on 150 test rows" in decision.reason
    assert "measured again" in decision.reason


def test_too_few_common_rows_measure_it_anew_on_all(present, monkeypatch):
    present(Served(POOR), **{"ktune.test_digest": "others"})
    recorded_test_rows(monkeypatch, TEST_ROWS[:10])
    decision = decide()
    assert "on 200 test rows" in decision.reason
    assert "trained on 190 of these" in decision.reason


def test_other_data_measure_it_anew_and_say_so(present):
    present(Served(POOR), **{"ktune.data_digest": "others"})
    decision = decide()
    assert decision.is_promoted
    assert "trained on other data" in decision.reason


def test_a_champion_whose_search_is_gone_is_measured_on_all_rows(present, monkeypatch):
    present(Served(POOR), **{"ktune.test_digest": "others"})

    def gone(store, run_id, name):
        raise StoreError("gone")

    monkeypatch.setattr(untouched, "read_file", gone)
    assert "on 200 test rows" in decide().reason


def test_a_champion_of_other_classes_is_not_compared(present):
    present(Served(POOR, class_names=("yes", "no")))
    decision = decide()
    assert not decision.is_promoted
    assert "cannot predict these test rows" in decision.reason


def test_equal_models_hardly_ever_take_over(present, monkeypatch):
    """A hundred pairs of equal skill: the alias moves at most five times."""
    monkeypatch.setattr("ktune.models.registry.gate.N_RESAMPLES", 200)
    moved = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        theirs, ours = (np.where(rng.random(N) < 0.2, 1 - GOOD, GOOD) for _ in "ab")
        present(Served(theirs.astype(np.float32)))
        moved += decide(ours.astype(np.float32)).is_promoted
    assert moved <= 5


@pytest.fixture
def versions(store):
    """A registered model of three versions without files and aliases."""
    store.client.create_registered_model("m")
    for _ in range(3):
        store.client.create_model_version("m", source="file:///nowhere")
    return [find_version(store, "m", number) for number in (1, 2, 3)]


def always_better(store, context, predictions, champion):
    return Decision(True, f"better than version {champion.version}")


def test_of_two_searches_that_end_together_one_sees_the_champion_of_the_other(
    store, versions, monkeypatch
):
    def slowly(*args):
        time.sleep(0.2)
        return always_better(*args)

    monkeypatch.setattr(champion_module, "_compare", slowly)
    decisions = {}

    def end(version):
        decisions[version.version] = compare_and_assign(store, None, version, GOOD)[1]

    threads = [threading.Thread(target=end, args=(v,)) for v in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changes = read_alias_changes(store, "m")
    order = [change.version for change in changes]
    assert sorted(order) == [1, 2, 3]
    assert [change.before for change in changes] == [None, *order[:-1]]
    assert [decisions[v].champion for v in order] == [None, *order[:-1]]
    assert read_aliases(store, "m") == {"champion": order[-1]}


def test_on_a_server_a_champion_that_changes_meanwhile_is_compared_too(
    store, versions, monkeypatch, tmp_path
):
    server = Store(StoreLocation("http://host", None, None, tmp_path), store.client)
    first, second, third = versions

    def compare(server, context, predictions, champion):
        if champion.version == first.version:  # another process is quicker
            change_alias(store, second, "champion", how="gate", reason="")
        return always_better(server, context, predictions, champion)

    clock = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("ktune.models.registry.alias_changes.time", clock)
    monkeypatch.setattr(champion_module, "_compare", compare)
    change_alias(store, first, "champion", how="gate", reason="")
    found, decision = compare_and_assign(server, None, third, GOOD)
    assert found.alias == "champion"
    assert decision == Decision(True, "better than version 2", champion=2)


def test_a_champion_is_not_compared_with_itself(store, versions, monkeypatch):
    monkeypatch.setattr(champion_module, "_compare", always_better)
    compare_and_assign(store, None, versions[0], GOOD)
    again = find_version(store, "m", 1)
    found, decision = compare_and_assign(store, None, again, GOOD)
    assert found.alias == "champion"
    assert "already" in decision.reason
    assert len(read_alias_changes(store, "m")) == 1


def test_a_model_of_a_smoke_test_gets_no_alias(store, versions, monkeypatch):
    monkeypatch.setattr(champion_module, "register_candidate", lambda *_: versions[0])
    candidate = Candidate("search", "", SimpleNamespace(), is_smoke_test=True)
    version, decision = register_best(store, context(), candidate)
    assert version.alias is None
    assert not decision.is_promoted
    assert read_aliases(store, "m") == {}
    gate = find_version(store, "m", 1).tags["ktune.gate"]
    assert gate == "no alias: a model of a smoke test does not become champion"


def test_a_search_that_is_resumed_after_its_end_keeps_its_decision(
    store, versions, monkeypatch
):
    change_alias(store, versions[0], "champion", how="gate", reason="first: version")
    before = find_version(store, "m", 1)
    monkeypatch.setattr(champion_module, "_registered_before", lambda *_: before)
    candidate = Candidate("search", "trial", SimpleNamespace())
    version, decision = register_best(store, context(), candidate)
    assert version == before
    assert decision == Decision(True, "first: version")
    assert len(read_alias_changes(store, "m")) == 1


@pytest.mark.parametrize(
    "tags", [{}, {"ktune.search_run_id": "search", "ktune.ensemble": "no JSON"}]
)
def test_the_card_of_an_edited_version_is_refused_with_the_reason(
    store, versions, tags, monkeypatch
):
    search = SimpleNamespace(run_id="search")
    monkeypatch.setattr(card, "find_run", lambda *_: search)
    monkeypatch.setattr(card, "read_json", lambda *_: {})
    monkeypatch.setattr(card, "list_trials", lambda *_: [])
    for key, value in tags.items():
        store.client.set_model_version_tag("m", "1", key, value)
    with pytest.raises(StoreError, match="a tag of the version was edited"):
        card.write_card(store, "m", 1)
