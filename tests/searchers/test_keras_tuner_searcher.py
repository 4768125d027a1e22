"""The four oracles of KerasTuner."""

import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from ktune.errors import SearchAborted
from ktune.experiment.choices import SAMPLERS
from ktune.searchers import oracle as oracle_module
from ktune.searchers.keras_tuner import KerasTunerSearcher
from ktune.searchers.optuna import OptunaSearcher
from ktune.searchers.trial_store import open_trial_store
from ktune.testing.searchers import (
    GOAL,
    N_FINITE,
    MakeSearcher,
    SearcherContract,
    complete,
    declare_finite,
    declare_mixed,
    failed,
    run,
    score_of,
)


def make_with(**chosen: Any) -> MakeSearcher:
    def make(
        declare: Any, path: Path, seed: int = 0, **options: Any
    ) -> KerasTunerSearcher:
        trial_store = open_trial_store(path, "study", goal=GOAL)
        return KerasTunerSearcher(
            declare, trial_store=trial_store, seed=seed, **chosen, **options
        )

    return make


class TestRandom(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="random")


class TestBayesian(SearcherContract):
    # Ten parameters: its first thirty trials are random ones, so they are quick.
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="bayesian")


class TestGrid(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="grid")


class TestHyperband(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="hyperband", epochs=9)

    def test_sweep_has_the_trials_and_budgets_of_its_paper(
        self, make: MakeSearcher, path: Path
    ) -> None:
        # Brackets of 9 + 3 + 1, 5 + 2 and 3 trials.
        asked = run(make(declare_mixed, path), 23)
        budgets = [trial.epochs for trial in asked]
        assert {e: budgets.count(e) for e in budgets} == {1: 9, 3: 3 + 5, 9: 1 + 2 + 3}

    def test_promoted_trials_go_on_with_a_good_one(
        self, make: MakeSearcher, path: Path
    ) -> None:
        asked = run(make(declare_mixed, path), 46)
        promoted = [trial for trial in asked if trial.parent is not None]
        assert len(promoted) >= 8
        for trial in promoted:
            assert trial.parent is not None
            parent = asked[trial.parent]
            assert parent.values == trial.values
            assert parent.epochs is not None
            assert trial.epochs == 3 * parent.epochs
        first_bracket = asked[:9]
        best = max(first_bracket, key=score_of)
        assert best.number in {trial.parent for trial in promoted}

    def test_failed_trials_do_not_leave_brackets_unfinished(
        self, make: MakeSearcher, path: Path
    ) -> None:
        searcher = make(declare_mixed, path)
        lost, budgets = set(), []
        for number in range(46):
            trial = searcher.ask()
            assert trial is not None
            assert trial.parent not in lost
            budgets.append(trial.epochs)
            if number % 4 == 1:
                lost.add(number)
                searcher.tell(trial, failed())
            else:
                searcher.tell(trial, complete(score_of(trial)))
        assert budgets.count(9) >= 6
        assert not searcher.is_exhausted

    def test_small_space_still_gets_its_full_budget(
        self, make: MakeSearcher, path: Path
    ) -> None:
        asked = run(make(declare_finite, path), 200)
        assert 9 in {trial.epochs for trial in asked}
        fresh = [trial for trial in asked if trial.parent is None]
        assert len(fresh) == N_FINITE

    def test_budget_is_no_value(self, make: MakeSearcher, path: Path) -> None:
        for trial in run(make(declare_mixed, path), 20):
            assert not [name for name in trial.values if name.startswith("tuner/")]


ORACLES = SAMPLERS["kerastuner"]


@pytest.mark.parametrize("sampler", ORACLES)
def test_nothing_is_printed_warned_or_left_behind(
    sampler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(make_with(sampler=sampler)(declare_mixed, tmp_path / "study.log"), 12)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["study.log"]


def declare_late(hp: Any) -> None:
    for index in range(hp.Int("layers", 1, 2)):
        hp.Float(f"rate_{index}", 0.0, 1.0)


@pytest.mark.parametrize("sampler", ["random", "bayesian", "hyperband"])
def test_parameter_found_late_is_not_always_its_default(
    sampler: str, tmp_path: Path
) -> None:
    first_seen = set()
    for seed in range(4):
        searcher = make_with(sampler=sampler)(
            declare_late, tmp_path / f"{seed}.log", seed
        )
        asked = run(searcher, 8)
        first_seen.add(next(t.values["rate_1"] for t in asked if "rate_1" in t.values))
    assert len(first_seen) == 4


def test_parameter_found_late_is_searched_from_then_on(tmp_path: Path) -> None:
    asked = run(make_with(sampler="random")(declare_late, tmp_path / "study.log"), 20)
    late = [t.values["rate_1"] for t in asked if "rate_1" in t.values]
    assert len(set(late)) == len(late) > 4


def test_grid_skips_inactive_parameters(tmp_path: Path) -> None:
    def declare(hp: Any) -> None:
        for index in range(hp.Int("layers", 1, 3)):
            hp.Choice(f"units_{index}", [8, 16, 32])

    searcher = make_with(sampler="grid")(declare, tmp_path / "study.log")
    assert len(run(searcher, 100)) == 3 + 9 + 27
    assert searcher.is_exhausted


def test_grid_takes_ten_values_of_a_continuous_range(tmp_path: Path) -> None:
    def declare(hp: Any) -> None:
        hp.Float("rate", 1e-4, 1e-1, sampling="log")

    asked = run(make_with(sampler="grid")(declare, tmp_path / "study.log"), 100)
    values = [trial.values["rate"] for trial in asked]
    assert len(values) == 11
    assert values[0] == 1e-4
    assert values[1:] == sorted(values[1:])


def declare_line(hp: Any) -> None:
    hp.Float("x", -3.0, 3.0, default=3.0)
    hp.Int("n", 1, 64, sampling="log")


def run_line(searcher: KerasTunerSearcher, trials: int) -> list[float]:
    asked = []
    for _ in range(trials):
        trial = searcher.ask()
        assert trial is not None
        assert 1 <= trial.values["n"] <= 64
        asked.append(trial.values["x"])
        searcher.tell(trial, complete(-(trial.values["x"] ** 2) + trial.values["n"]))
    return asked


@pytest.mark.slow
def test_bayesian_search_resumes_exactly_and_finds_the_edge(tmp_path: Path) -> None:
    make = make_with(sampler="bayesian")
    straight = run_line(make(declare_line, tmp_path / "one.log"), 12)
    first = run_line(make(declare_line, tmp_path / "two.log"), 8)
    second = run_line(make(declare_line, tmp_path / "two.log"), 4)
    assert first + second == straight
    scores = [
        entry.score
        for entry in open_trial_store(tmp_path / "one.log", "study").records()
    ]
    assert max(score for score in scores if score is not None) > 60


def test_oracle_that_raised_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher = make_with(sampler="random")(declare_mixed, tmp_path / "study.log")
    run(searcher, 2)

    def broken(trial_id: str) -> None:
        raise ValueError("no more")

    monkeypatch.setattr(searcher._oracle._oracle, "populate_space", broken)
    with pytest.raises(SearchAborted, match="ValueError: no more.*--resume"):
        searcher.ask()
    outcomes = []

    def ask_again() -> None:
        with pytest.raises(SearchAborted):
            searcher.ask()
        outcomes.append("told")

    thread = threading.Thread(target=ask_again, daemon=True)
    thread.start()
    thread.join(timeout=5)
    assert outcomes == ["told"]


@pytest.mark.parametrize("sampler", ORACLES)
def test_either_engine_continues_after_the_other(sampler: str, tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    first = run(make_with(sampler=sampler)(declare_mixed, path), 4)
    trial_store = open_trial_store(path, "study", goal=GOAL)
    second = run(
        OptunaSearcher(declare_mixed, trial_store=trial_store, sampler="random"), 4
    )
    third = run(make_with(sampler=sampler)(declare_mixed, path), 4)
    asked = first + second + third
    assert [trial.number for trial in asked] == list(range(12))
    assert len({(frozenset(t.values.items()), t.epochs) for t in asked}) == 12


def test_grid_is_complete_after_another_oracle(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    first = run(make_with(sampler="random")(declare_finite, path), 5)
    searcher = make_with(sampler="grid")(declare_finite, path)
    asked = first + run(searcher, 100)
    assert len({frozenset(trial.values.items()) for trial in asked}) == N_FINITE
    assert len(asked) == N_FINITE
    assert searcher.is_exhausted


def test_private_parts_are_still_there() -> None:
    """If this fails, KerasTuner has changed: read the head of oracle.py again."""
    made = oracle_module.Oracle("hyperband", "max", seed=0, epochs=9)._oracle
    for name in ("_seed_state", "_tried_so_far", "_get_size", "_get_num_rounds"):
        assert hasattr(made, name)
    for name in ("_save_trial", "_duplicate", "save"):
        assert callable(getattr(type(made), name))
