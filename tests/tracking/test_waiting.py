import json

import pytest

from ktune.errors import StoreError
from ktune.tracking.records import MetricPoint, RunRecord
from ktune.tracking.waiting import (
    Owner,
    PendingJournal,
    PendingRecord,
    list_pending,
    read_pending_records,
)

OWNER = Owner("5ea4c4" * 5, "birds", "http://mlflow:5000")


def trial(number):
    record = RunRecord(
        name=f"trial {number}",
        status="FINISHED",
        tags={"ktune.trial": str(number)},
        params={"rate": "0.1"},
        metrics=(MetricPoint("val_f1", 0.1 + 0.2), MetricPoint("epoch_val_f1", 1, 3)),
        files={"trial.json": b"{}", "deep/out.npz": bytes(range(256))},
        seconds=1.5,
    )
    return PendingRecord(OWNER.search, record, 1234.5 + number, "7")


def end():
    return PendingRecord(
        OWNER.search, RunRecord("", "KILLED", tags={"why": "on purpose"}), 9e9
    )


@pytest.fixture
def journal(tmp_path):
    journal = PendingJournal(tmp_path, OWNER)
    yield journal
    journal.close()


def as_plain(entry):
    return entry.run_id, entry.record, entry.at, entry.experiment_id


def test_records_come_back_as_they_were_and_in_order(journal):
    entries = [trial(0), trial(1), end()]
    for entry in entries:
        journal.append(entry)
    found = [entry for _, entry in read_pending_records(journal.path)]
    assert list(map(as_plain, found)) == list(map(as_plain, entries))
    assert [entry.is_trial for entry in found] == [True, True, False]


def test_reading_continues_after_any_record(journal):
    for number in range(3):
        journal.append(trial(number))
    (first, _), *_ = read_pending_records(journal.path)
    assert [entry.at for _, entry in read_pending_records(journal.path, first)] == [
        1235.5,
        1236.5,
    ]


def test_queued_records_are_listed_with_their_owner(tmp_path, journal):
    assert list_pending(tmp_path) == []  # a kill came before the first record
    journal.append(trial(0))
    journal.append(end())
    (waiting,) = list_pending(tmp_path)
    assert (waiting.owner, waiting.n_records, waiting.n_trials) == (OWNER, 2, 1)
    assert waiting.since == 1234.5
    assert list_pending(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("kept", [1, 40, 500])
def test_a_record_truncated_by_a_kill_does_not_count(tmp_path, journal, kept):
    journal.append(trial(0))
    before = journal.path.stat().st_size
    journal.append(trial(1))
    with journal.path.open("r+b") as file:
        file.truncate(before + kept)
    assert [entry.at for _, entry in read_pending_records(journal.path)] == [1234.5]
    assert list_pending(tmp_path)[0].n_records == 1


@pytest.mark.parametrize("line", [b"not json\n", b'{"run_id": 3}\n', b"[]\n"])
def test_a_damaged_file_is_named(tmp_path, journal, line):
    with journal.path.open("ab") as file:
        file.write(line)
    with pytest.raises(StoreError, match=f"{journal.path.name}.*damaged"):
        list_pending(tmp_path)


def test_a_file_is_driven_until_its_process_releases_it(tmp_path, journal):
    journal.append(trial(0))
    (waiting,) = list_pending(tmp_path)
    assert waiting.is_driven
    journal.close()
    assert not waiting.is_driven


def test_a_file_is_removed_once_all_records_are_written(tmp_path, journal):
    journal.append(trial(0))
    journal.remove()
    assert list((tmp_path / "waiting").iterdir()) == []


def test_two_drivers_have_files_of_their_own(tmp_path, journal):
    other = PendingJournal(tmp_path, OWNER)
    assert other.path != journal.path
    other.close()


def test_every_record_is_a_line_of_json(journal):
    journal.append(trial(0))
    owner, record = map(json.loads, journal.path.read_text().splitlines())
    assert owner["server"] == "http://mlflow:5000"
    assert record["record"]["params"] == {"rate": "0.1"}
