"""The seven samplers of Optuna."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from ktune.errors import ExperimentError, SpaceError
from ktune.experiment.choices import PRUNERS, SAMPLERS
from ktune.searchers import optuna as optuna_searcher
from ktune.searchers.optuna import OptunaSearcher
from ktune.searchers.trial_store import open_trial_store
from ktune.testing.searchers import (
    GOAL,
    MakeSearcher,
    SearcherContract,
    complete,
    declare_mixed,
    run,
    score_of,
)
from ktune.trial import TrialResult, TrialState


def make_with(**chosen: Any) -> MakeSearcher:
    def make(declare: Any, path: Path, seed: int = 0, **options: Any) -> OptunaSearcher:
        trial_store = open_trial_store(path, "study", goal=GOAL)
        return OptunaSearcher(
            declare, trial_store=trial_store, seed=seed, **chosen, **options
        )

    return make


class TestTpe(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="tpe")


class TestRandom(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="random")


class TestCmaEs(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="cmaes")


class TestNsga2(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="nsga2")


class TestQmc(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="qmc")


class TestGrid(SearcherContract):
    takes_continua = False

    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="grid")


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)
class TestGp(SearcherContract):
    @pytest.fixture
    def make(self) -> MakeSearcher:
        return make_with(sampler="gp")


def test_every_sampler_of_an_experiment_is_known() -> None:
    assert {*optuna_searcher._FACTORIES, "grid"} == set(SAMPLERS["optuna"])


def test_missing_package_is_reported_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match=r'pip install "ktune\[gp\]"'):
        make_with(sampler="gp")(declare_mixed, tmp_path / "study.log")


def test_grid_names_the_parameter_it_cannot_enumerate(tmp_path: Path) -> None:
    searcher = make_with(sampler="grid")(declare_mixed, tmp_path / "study.log")
    with pytest.raises(SpaceError, match="'learning_rate'.*finite"):
        searcher.ask()


def test_grid_goes_through_the_values_in_order(tmp_path: Path) -> None:
    def declare(hp: Any) -> None:
        hp.Int("a", 1, 2)
        hp.Choice("b", ["x", "y"], default="y")

    asked = run(make_with(sampler="grid")(declare, tmp_path / "study.log"), 9)
    assert [tuple(trial.values.values()) for trial in asked] == [
        (1, "y"),
        (1, "x"),
        (2, "x"),
        (2, "y"),
    ]


def test_duplicates_leave_the_trial_store_clean(tmp_path: Path) -> None:
    def declare(hp: Any) -> None:
        hp.Int("a", 1, 3)

    path = tmp_path / "study.log"
    run(make_with(sampler="random")(declare, path), 10)
    trial_store = open_trial_store(path, "study")
    assert [entry.trial.number for entry in trial_store.records()] == [0, 1, 2]
    assert len(trial_store.study.trials) >= 3


@pytest.mark.parametrize("pruner", PRUNERS)
def test_pruner_stops_only_hopeless_trials(tmp_path: Path, pruner: str) -> None:
    searcher = make_with(sampler="random", pruner=pruner, epochs=20)(
        declare_mixed, tmp_path / "study.log"
    )
    pruned = []
    for number in range(14):
        trial = searcher.ask()
        assert trial is not None
        quality = 0.1 if number == 13 else 0.5 + number / 30
        for step in range(20):
            # No two differences alike: SciPy is slow with ties.
            if not searcher.report(trial, step, quality + step / (997 + number)):
                pruned.append(number)
                searcher.tell(trial, TrialResult(TrialState.PRUNED, score=quality))
                break
        else:
            searcher.tell(trial, complete(quality))
    if pruner in ("none", "auto"):
        assert pruned == []
    else:
        assert pruned == [13]


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_search_finds_better_than_its_first_trials(
    tmp_path: Path, sampler: str
) -> None:
    def declare(hp: Any) -> None:
        hp.Float("x", -3.0, 3.0, default=3.0)

    searcher = make_with(sampler=sampler)(declare, tmp_path / "study.log")
    scores = []
    for _ in range(30):
        trial = searcher.ask()
        assert trial is not None
        scores.append(-(trial.values["x"] ** 2))
        searcher.tell(trial, complete(scores[-1]))
    assert max(scores) > -0.1


def test_nothing_is_printed_or_warned(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    for sampler in ("tpe", "random", "cmaes", "nsga2", "qmc"):
        searcher = make_with(sampler=sampler, pruner="wilcoxon")(
            declare_mixed, tmp_path / f"{sampler}.log"
        )
        for _ in range(12):
            trial = searcher.ask()
            assert trial is not None
            searcher.report(trial, 0, 0.5)
            searcher.report(trial, 0, 0.5)
            searcher.tell(trial, complete(score_of(trial)))
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
