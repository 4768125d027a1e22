"""The index says what looking through all trials says."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from ktune.searchers.indexed_storage import IndexedStorage
from ktune.searchers.journal import BatchedJournal
from ktune.searchers.study import quiet

ENDS = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

FILTERS = (
    None,
    (),
    (TrialState.WAITING,),
    (TrialState.RUNNING, TrialState.WAITING),
    (TrialState.COMPLETE,),
    (TrialState.COMPLETE, TrialState.PRUNED),
    tuple(TrialState),
)


@pytest.fixture(autouse=True)
def silence():
    with quiet():
        yield


def study_on(path, storage=IndexedStorage):
    return optuna.create_study(
        study_name="study",
        storage=storage(BatchedJournal(path)),
        sampler=optuna.samplers.RandomSampler(seed=0),
        load_if_exists=True,
    )


def begin(study):
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    return trial


steps = st.lists(
    st.one_of(
        st.just("begin"),
        st.just("enqueue"),
        st.tuples(st.integers(0, 5), st.sampled_from(ENDS)),
    ),
    max_size=25,
)


@given(steps)
def test_the_index_agrees_with_a_scan_of_all_trials(tmp_path_factory, plan):
    path = tmp_path_factory.mktemp("study") / "study.log"
    with quiet():
        study, plain = study_on(path), study_on(path, JournalStorage)
        running = []
        for step in plan:
            if step == "begin":
                running.append(begin(study))
            elif step == "enqueue":
                study.enqueue_trial({"x": 0.5})
            elif running:
                trial = running.pop(step[0] % len(running))
                trial.report(0.25, 0)
                value = 1.0 if step[1] is TrialState.COMPLETE else None
                study.tell(trial, value, state=step[1])
            for states in FILTERS:
                found = study.get_trials(deepcopy=False, states=states)
                assert found == plain.get_trials(deepcopy=False, states=states)


def test_finished_trials_are_not_looked_at_again(tmp_path, monkeypatch):
    study = study_on(tmp_path / "study.log")
    for _ in range(20):
        study.tell(begin(study), 1.0)
    study.get_trials(deepcopy=False)
    looked_at = []
    original = IndexedStorage.get_trial
    monkeypatch.setattr(
        IndexedStorage,
        "get_trial",
        lambda storage, trial_id: (
            looked_at.append(trial_id) or original(storage, trial_id)
        ),
    )
    assert len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) == 20
    assert study.get_trials(deepcopy=False, states=(TrialState.WAITING,)) == []
    assert looked_at == []


def test_returned_trials_may_be_changed_without_harm(tmp_path):
    study = study_on(tmp_path / "study.log")
    study.tell(begin(study), 1.0)
    for _ in range(2):
        study.get_trials(deepcopy=False).clear()
        study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)).clear()
    assert len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) == 1
    assert len(study.get_trials(deepcopy=False)) == 1


def test_trials_of_no_study_are_refused(tmp_path):
    study = study_on(tmp_path / "study.log")
    with pytest.raises(KeyError):
        study._storage.get_all_trials(7, deepcopy=False)
