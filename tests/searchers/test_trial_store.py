"""The study both engines write."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ktune.errors import ExperimentError, StoreError
from ktune.experiment.experiment import Experiment
from ktune.metrics.ranking import Goal
from ktune.metrics.scores import Objective
from ktune.searchers import make_searcher
from ktune.searchers.keras_tuner import KerasTunerSearcher
from ktune.searchers.optuna import OptunaSearcher
from ktune.searchers.trial_store import TrialStore, open_trial_store
from ktune.testing.searchers import (
    GOAL,
    complete,
    declare_mixed,
    failed,
    run,
    score_of,
)
from ktune.trial import TrialResult, TrialState


def make(path: Path | str, declare: Any = declare_mixed) -> OptunaSearcher:
    trial_store = open_trial_store(path, "study", goal=GOAL)
    return OptunaSearcher(declare, trial_store=trial_store, sampler="random", seed=0)


def test_missing_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no study at .*study\.log"):
        open_trial_store(tmp_path / "study.log", "study")
    assert not list(tmp_path.iterdir())


def test_opposite_direction_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "study.log")
    with pytest.raises(StoreError, match=r"'study' .* maximizes, but rmse"):
        open_trial_store(
            tmp_path / "study.log", "study", goal=Goal((Objective("rmse", "min"),))
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\nworld\n", "line 1 of 2 is not a record"),
        (b"hello\nworld", "line 1 of 2 is not a record"),
        (b"hello", "line 1 of 1 is not a record"),
        (b"SQLite format 3\0" + bytes(1000), "is not a record"),
        (b'[{"op_code": 4}]\n', "line 1 of 1 is not a record"),
        (b'{"op_code": 4, "worker_id": "x"}\n', "not of this search"),
    ],
)
def test_file_that_is_no_study_is_a_clear_error_and_stays_as_it_was(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "study.log").write_bytes(content)
    with pytest.raises(StoreError, match=rf"study\.log cannot be opened: .*{message}"):
        make(tmp_path / "study.log")
    assert (tmp_path / "study.log").read_bytes() == content


def test_line_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    run(make(path), 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"\0" * 20 + b"\n", *lines[5:]]))
    before = path.read_bytes()
    for goal in (None, GOAL):
        with pytest.raises(
            StoreError, match=rf"line 5 of {len(lines)} is not a record"
        ):
            open_trial_store(path, "study", goal=goal)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "partial", [b'{"op_code": 4, "work', b"\0" * 4000, b"\0\0\0\n", b'{"op_c\n']
)
def test_line_truncated_by_a_crash_is_removed(tmp_path: Path, partial: bytes) -> None:
    path = tmp_path / "study.log"
    run(make(path), 3)
    with path.open("ab") as file:
        file.write(partial)
    assert len(open_trial_store(path, "study").records()) == 3
    run(make(path), 2)
    assert len(open_trial_store(path, "study").records()) == 5
    for line in path.read_text().splitlines():
        json.loads(line)


def test_study_whose_first_line_is_truncated_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "study.log").write_bytes(b'{"op_code": 0, "worker')
    assert run(make(tmp_path / "study.log"), 2) == run(make(tmp_path / "new.log"), 2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_full_disk_raises_the_error_of_the_system(tmp_path: Path) -> None:
    """So that who knows the store can say what to do."""
    path = tmp_path / "study.log"
    searcher = make(path)
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        searcher.ask()


def test_database_works_as_well(tmp_path: Path) -> None:
    straight = run(make(tmp_path / "study.log"), 5)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    assert run(make(url), 3) + run(make(url), 2) == straight


def test_states_scores_and_reports_are_read_back(tmp_path: Path) -> None:
    searcher = make(tmp_path / "study.log")
    results = [
        complete(0.5),
        TrialResult(TrialState.PRUNED, score=0.25, epochs=2),
        failed(),
    ]
    for result in results:
        trial = searcher.ask()
        assert trial is not None
        searcher.report(trial, 0, 0.1)
        searcher.report(trial, 1, 0.2)
        searcher.tell(trial, result)
    searcher.ask()
    entries = open_trial_store(tmp_path / "study.log", "study").records()
    assert [(entry.state, entry.score) for entry in entries] == [
        (TrialState.COMPLETE, 0.5),
        (TrialState.PRUNED, 0.25),
        (TrialState.FAILED, None),
        (None, None),
    ]
    assert entries[0].reports == {0: 0.1, 1: 0.2}
    assert entries[0].started is not None
    assert entries[0].finished is not None
    assert entries[0].started <= entries[0].finished


def test_trial_finished_just_before_a_crash_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.log"
    searcher = make(path)
    trial = searcher.ask()
    assert trial is not None

    def crash(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrialStore, "_finish", crash)
        with pytest.raises(KeyboardInterrupt):
            searcher.tell(trial, complete(0.75))
    following = make(path).ask()
    assert following is not None
    assert following.number == 1
    assert open_trial_store(path, "study").records()[0].score == 0.75


def test_trial_lost_while_it_was_written_leaves_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.log"
    straight = run(make(tmp_path / "straight.log"), 4)
    first = run(make(path), 2)

    def crash(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrialStore, "enter", crash)
        with pytest.raises(KeyboardInterrupt):
            make(path).ask()
    assert first + run(make(path), 2) == straight


def test_trial_not_asked_is_an_error_in_tell(tmp_path: Path) -> None:
    searcher = make(tmp_path / "study.log")
    trial = searcher.ask()
    assert trial is not None
    searcher.tell(trial, complete(0.5))
    with pytest.raises(LookupError, match="trial 0 .* finished already"):
        searcher.tell(trial, complete(0.5))


def test_importances_are_by_the_names_of_parameters(tmp_path: Path) -> None:
    path = tmp_path / "study.log"

    def declare(hp: Any) -> None:
        hp.Float("dropout", 0.0, 0.5, step=0.1)
        hp.Int("units", 8, 256, step=2, sampling="log")
        hp.Float("momentum", 0.5, 0.99, sampling="reverse_log")

    searcher = make(path, declare)
    assert open_trial_store(path, "study").importances() == {}
    for _ in range(25):
        trial = searcher.ask()
        assert trial is not None
        searcher.tell(trial, complete(-float(trial.values["units"])))
    importances = open_trial_store(path, "study").importances()
    assert set(importances) == {"dropout", "units", "momentum"}
    assert max(importances, key=lambda name: importances[name]) == "units"
    assert sum(importances.values()) == pytest.approx(1.0)


def test_names_with_two_meanings_have_two_keys(tmp_path: Path) -> None:
    def declare(hp: Any) -> None:
        hp.Choice("kind", ["narrow", "wide"])
        with hp.conditional_scope("kind", ["narrow"]):
            hp.Int("units", 1, 4)
        with hp.conditional_scope("kind", ["wide"]):
            hp.Choice("units", [100, 200])

    path = tmp_path / "study.log"
    run(make(path, declare), 6)
    parameters = open_trial_store(path, "study").parameters()
    assert set(parameters) == {"kind", "units", "units [kind=wide]"}
    assert {parameter.name for parameter in parameters.values()} == {"kind", "units"}


@pytest.mark.parametrize(
    ("engine", "kind"),
    [("optuna", OptunaSearcher), ("kerastuner", KerasTunerSearcher)],
)
def test_engine_of_the_experiment_is_made(
    engine: str, kind: type, tmp_path: Path
) -> None:
    experiment = Experiment(
        name="x",
        data=([[0.0]], [0]),
        build=declare_mixed,
        engine=engine,
        sampler="random",
        seed=5,
    )
    searcher = make_searcher(
        experiment, declare_mixed, goal=GOAL, path=tmp_path / "a" / "x.log"
    )
    assert isinstance(searcher, kind)
    asked = run(searcher, 3)
    entries = open_trial_store(tmp_path / "a" / "x.log", "x").records()
    assert [entry.trial for entry in entries] == asked
    assert [entry.score for entry in entries] == [score_of(t) for t in asked]


def test_reading_a_study_needs_no_tensorflow() -> None:
    code = (
        "import sys, ktune.searchers.trial_store; "
        "print({'keras_tuner', 'tensorflow', 'sklearn'} & set(sys.modules))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output == "set()\n"


def test_missing_package_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment(
        name="x", data=([[0.0]], [0]), build=declare_mixed, sampler="gp"
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    path = tmp_path / "studies" / "x.log"
    with pytest.raises(ExperimentError, match=r'pip install "ktune\[gp\]"'):
        make_searcher(experiment, declare_mixed, goal=GOAL, path=path)
    assert not list(tmp_path.iterdir())
