"""What is kept back is read at once here, and by others once it is released."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from ktune.searchers.journal import BatchedJournal
from ktune.searchers.study import quiet


@pytest.fixture(autouse=True)
def silence():
    with quiet():
        yield


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.log"


def study_on(backend):
    return optuna.create_study(
        study_name="study",
        storage=JournalStorage(backend),
        sampler=optuna.samplers.RandomSampler(seed=0),
        load_if_exists=True,
    )


def trials_in(path):
    """Return what Optuna's own reader finds."""
    return study_on(JournalFileBackend(str(path))).get_trials()


def test_what_is_kept_back_is_read_here_and_not_yet_elsewhere(path):
    journal = BatchedJournal(path)
    study = study_on(journal)
    trial = study.ask()
    journal.keep_back()
    value = trial.suggest_float("x", 0, 1)
    trial.set_user_attr("name", "first")
    assert study.get_trials()[0].params == {"x": value}
    assert study.get_trials()[0].user_attrs == {"name": "first"}
    assert trials_in(path)[0].params == {}
    journal.release()
    assert trials_in(path) == study.get_trials()


def test_what_belongs_together_is_written_in_one_go(path, monkeypatch):
    journal = BatchedJournal(path)
    study = study_on(journal)
    trial = study.ask()
    appended = []
    original = JournalFileBackend.append_logs
    monkeypatch.setattr(
        JournalFileBackend,
        "append_logs",
        lambda backend, logs: (appended.append(len(logs)), original(backend, logs)),
    )
    with journal.together():
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("name", "first")
        study.tell(trial, 0.5)
    assert appended == [3]
    journal.release()
    assert appended == [3]


def test_what_others_write_in_between_is_not_confused_with_our_own(path):
    journal = BatchedJournal(path)
    here, there = study_on(journal), study_on(JournalFileBackend(str(path)))
    ours = here.ask()
    journal.keep_back()
    ours.suggest_int("n", 1, 9)
    theirs = there.ask()
    theirs.set_user_attr("whose", "theirs")
    ours.set_user_attr("whose", "ours")
    journal.release()
    here.tell(ours, 1.0)
    there.tell(theirs, 2.0)
    assert here.get_trials() == trials_in(path)
    assert [t.user_attrs["whose"] for t in trials_in(path)] == ["ours", "theirs"]
    assert [t.value for t in trials_in(path)] == [1.0, 2.0]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(path):
    study = study_on(BatchedJournal(path))
    line = b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"a":1}}\n'
    with path.open("ab", buffering=0) as file:
        file.write(line[:20])
        assert study.user_attrs == {}
        file.write(line[20:])
    assert study.user_attrs == {"a": 1}


STEPS = st.lists(
    st.sampled_from(["ask", "attribute", "report", "tell", "keep_back", "release"]),
    max_size=30,
)


@given(steps=STEPS, others=st.lists(st.booleans(), min_size=30, max_size=30))
def test_the_file_ends_as_the_study_here_whatever_was_kept_back(
    tmp_path_factory, steps, others
):
    path = tmp_path_factory.mktemp("journal") / "study.log"
    journal = BatchedJournal(path)
    here, there = study_on(journal), study_on(JournalFileBackend(str(path)))
    running = []
    for number, (step, do_others) in enumerate(zip(steps, others, strict=False)):
        if do_others:
            there.add_trial(optuna.trial.create_trial(value=float(number)))
        take(step, number, journal, here, running)
    journal.release()
    assert here.get_trials() == trials_in(path)


def take(step, number, journal, study, running):
    if step == "ask":
        journal.release()  # as who keeps back must
        running.append(study.ask())
    elif step in ("keep_back", "release"):
        getattr(journal, step)()
    elif running and step == "attribute":
        running[-1].set_user_attr(f"at {number}", number)
    elif running and step == "report":
        running[-1].report(float(number), number)
    elif running and step == "tell":
        study.tell(running.pop(), state=TrialState.FAIL)
