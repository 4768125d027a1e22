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
    """Return the trials that Optuna's own reader finds."""
    return study_on(JournalFileBackend(str(path))).get_trials()


def test_buffered_records_are_read_here_and_not_yet_elsewhere(path):
    journal = BatchedJournal(path)
    study = study_on(journal)
    trial = study.ask()
    journal.start_buffering()
    value = trial.suggest_float("x", 0, 1)
    trial.set_user_attr("name", "first")
    assert study.get_trials()[0].params == {"x": value}
    assert study.get_trials()[0].user_attrs == {"name": "first"}
    assert trials_in(path)[0].params == {}
    journal.flush()
    assert trials_in(path) == study.get_trials()


def test_a_batch_is_written_at_once(path, monkeypatch):
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
    with journal.batch():
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("name", "first")
        study.tell(trial, 0.5)
    assert appended == [3]
    journal.flush()
    assert appended == [3]


def test_records_of_another_process_are_not_confused_with_buffered_ones(path):
    journal = BatchedJournal(path)
    here, there = study_on(journal), study_on(JournalFileBackend(str(path)))
    first = here.ask()
    journal.start_buffering()
    first.suggest_int("n", 1, 9)
    second = there.ask()
    second.set_user_attr("process", "there")
    first.set_user_attr("process", "here")
    journal.flush()
    here.tell(first, 1.0)
    there.tell(second, 2.0)
    assert here.get_trials() == trials_in(path)
    assert [t.user_attrs["process"] for t in trials_in(path)] == ["here", "there"]
    assert [t.value for t in trials_in(path)] == [1.0, 2.0]


def test_a_line_that_is_being_written_is_read_when_it_is_complete(path):
    study = study_on(BatchedJournal(path))
    line = b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"a":1}}\n'
    with path.open("ab", buffering=0) as file:
        file.write(line[:20])
        assert study.user_attrs == {}
        file.write(line[20:])
    assert study.user_attrs == {"a": 1}


STEPS = st.lists(
    st.sampled_from(["ask", "attribute", "report", "tell", "start_buffering", "flush"]),
    max_size=30,
)


@given(steps=STEPS, others=st.lists(st.booleans(), min_size=30, max_size=30))
def test_the_file_ends_as_the_study_here_for_any_buffering(
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
    journal.flush()
    assert here.get_trials() == trials_in(path)


def take(step, number, journal, study, running):
    if step == "ask":
        journal.flush()  # required before a trial is asked
        running.append(study.ask())
    elif step in ("start_buffering", "flush"):
        getattr(journal, step)()
    elif running and step == "attribute":
        running[-1].set_user_attr(f"at {number}", number)
    elif running and step == "report":
        running[-1].report(float(number), number)
    elif running and step == "tell":
        study.tell(running.pop(), state=TrialState.FAIL)
