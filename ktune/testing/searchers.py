"""The contract of a searcher: subclass `SearcherContract` and override `make`."""

# ruff: noqa: D102 - the names of tests are sentences

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ktune.errors import SpaceError
from ktune.metrics.ranking import Goal
from ktune.metrics.scores import Objective
from ktune.protocols import Searcher
from ktune.searchers.trial_store import open_trial_store
from ktune.trial import Trial, TrialResult, TrialState, Value
from ktune.utils.seeds import derive_seed

GOAL = Goal((Objective("accuracy", "max"),))


def declare_mixed(hp: Any) -> None:
    """Declare parameters of every kind, some of them conditional."""
    hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    hp.Int("batch_size", 16, 128, step=2, sampling="log")
    hp.Float("dropout", 0.0, 0.5, step=0.1)
    hp.Boolean("batch_norm")
    hp.Fixed("activation", "relu")
    for index in range(hp.Int("layers", 1, 3)):
        hp.Int(f"units_{index}", 32, 256, step=32)
    optimizer = hp.Choice("optimizer", ["adam", "sgd"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        momentum = hp.Float("momentum", 0.5, 0.99, sampling="reverse_log")
    assert (momentum is None) == (optimizer == "adam")


def declare_finite(hp: Any) -> None:
    """Declare a space of 2 + 3 + 3 * 2 = 11 configurations."""
    kind = hp.Choice("kind", ["small", "medium", "large"])
    if kind == "small":
        hp.Boolean("bias")
    elif kind == "medium":
        hp.Int("units", 10, 30, step=10)
    else:
        hp.Choice("rate", [0.1, 0.2, 0.3])
        hp.Int("depth", 1, 2)


N_FINITE = 11


def complete(score: float) -> TrialResult:
    """Return the result of a complete trial."""
    return TrialResult(TrialState.COMPLETE, score=score, best_epoch=2, epochs=3)


def failed() -> TrialResult:
    """Return the result of a trial that failed."""
    return TrialResult(TrialState.FAILED)


def score_of(trial: Trial) -> float:
    """Return a score that depends on a trial's values alone."""
    return derive_seed(repr(sorted(trial.values.items()))) / 2**31


def run(searcher: Searcher, trials: int) -> list[Trial]:
    """Ask and tell sequentially; return the trials."""
    asked: list[Trial] = []
    while len(asked) < trials and (trial := searcher.ask()) is not None:
        asked.append(trial)
        searcher.tell(trial, complete(score_of(trial)))
    return asked


def identity(trial: Trial) -> tuple[object, ...]:
    """Return a key that is equal for trials with equal results."""
    return (frozenset(trial.values.items()), trial.epochs, trial.parent)


MakeSearcher = Callable[..., Searcher]


class SearcherContract:
    """Tests for any `ktune.protocols.Searcher`; override the `make` fixture.

    Attributes:
        trials: How many trials a search of these tests has.
        is_resumable: Whether a continued search must equal an undisturbed one.
        takes_continua: Whether parameters without steps are allowed.
    """

    trials = 30
    is_resumable = True
    takes_continua = True

    @pytest.fixture
    def make(self) -> MakeSearcher:
        """Return ``make(declare, path, seed=0, **options)``: a new searcher."""
        raise NotImplementedError

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Return the path of the trial store."""
        return tmp_path / "study.log"

    @property
    def declare(self) -> Callable[[Any], None]:
        """Return the space of most tests."""
        return declare_mixed if self.takes_continua else declare_finite

    def test_trials_are_numbered_and_differ(
        self, make: MakeSearcher, path: Path
    ) -> None:
        asked = run(make(self.declare, path), self.trials)
        expected = self.trials if self.takes_continua else N_FINITE
        assert [trial.number for trial in asked] == list(range(expected))
        assert len({identity(trial) for trial in asked}) == expected

    def test_first_trial_is_all_defaults(self, make: MakeSearcher, path: Path) -> None:
        def declare(hp: Any) -> None:
            hp.Int("units", 32, 256, step=32, default=100)
            hp.Choice("rate", [0.1, 0.2, 0.3], default=0.2)
            hp.Boolean("bias", default=True)
            hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.25)

        first = run(make(declare, path), 1)[0]
        assert dict(first.values) == {
            "units": 100,
            "rate": 0.2,
            "bias": True,
            "dropout": 0.25,
        }

    def test_values_to_start_from_come_next(
        self, make: MakeSearcher, tmp_path: Path
    ) -> None:
        wanted: list[dict[str, Value]] = [
            {"kind": "large", "rate": 0.3},
            {"kind": "small", "bias": False},  # all defaults: already the first trial
            {"kind": "medium", "units": 30},
        ]
        options = {"start_from": wanted}
        straight = run(make(declare_finite, tmp_path / "one.log", **options), 5)
        assert [dict(trial.values) for trial in straight[:3]] == [
            {"kind": "small", "bias": False},
            {"kind": "large", "rate": 0.3, "depth": 1},
            {"kind": "medium", "units": 30},
        ]
        first = run(make(declare_finite, tmp_path / "two.log", **options), 2)
        second = run(make(declare_finite, tmp_path / "two.log", **options), 3)
        assert first + second == straight

    def test_impossible_value_to_start_from_is_named(
        self, make: MakeSearcher, path: Path
    ) -> None:
        wanted = [{"kind": "medium", "units": 50}]
        searcher = make(declare_finite, path, start_from=wanted)
        with pytest.raises(SpaceError, match="'units' cannot be 50.*from 10 to 30"):
            run(searcher, 2)

    def test_values_replayed_give_the_builder_the_same(
        self, make: MakeSearcher, path: Path
    ) -> None:
        from ktune.spaces.hyperparameters import replay

        for trial in run(make(self.declare, path), 8):
            hp = replay(trial.values)
            self.declare(hp)
            assert hp.values == dict(trial.values)

    def test_values_are_plain(self, make: MakeSearcher, path: Path) -> None:
        for trial in run(make(self.declare, path), self.trials):
            assert {type(v) for v in trial.values.values()} <= {bool, int, float, str}

    def test_same_seed_asks_the_same(self, make: MakeSearcher, tmp_path: Path) -> None:
        one = run(make(self.declare, tmp_path / "one.log"), 8)
        other = run(make(self.declare, tmp_path / "other.log"), 8)
        assert one == other

    def test_seeds_of_trials_follow_the_search(
        self, make: MakeSearcher, path: Path
    ) -> None:
        for trial in run(make(self.declare, path, seed=3), 3):
            assert trial.seed == derive_seed(3, trial.number)

    def test_resumed_search_equals_an_uninterrupted_one(
        self, make: MakeSearcher, tmp_path: Path
    ) -> None:
        straight = run(make(self.declare, tmp_path / "straight.log"), 20)
        first = run(make(self.declare, tmp_path / "two.log"), 7)
        second = run(make(self.declare, tmp_path / "two.log"), 13)
        assert [t.number for t in first + second] == [t.number for t in straight]
        if self.is_resumable:
            assert first + second == straight

    def test_running_trials_of_a_crash_are_repeated_first(
        self, make: MakeSearcher, path: Path
    ) -> None:
        before = make(self.declare, path)
        run(before, 2)
        lost = before.ask()
        after = make(self.declare, path)
        again = after.ask()
        assert again == lost
        assert again is not None
        after.tell(again, complete(0.5))
        further = run(after, 3)
        assert [trial.number for trial in further] == [3, 4, 5]
        entries = open_trial_store(path, "study").records()
        assert [entry.trial.number for entry in entries] == [0, 1, 2, 3, 4, 5]
        assert all(entry.state is TrialState.COMPLETE for entry in entries)

    def test_finite_space_is_exhausted_exactly(
        self, make: MakeSearcher, path: Path
    ) -> None:
        searcher = make(declare_finite, path)
        asked = run(searcher, 100)
        distinct = {frozenset(trial.values.items()) for trial in asked}
        assert len(distinct) == N_FINITE
        assert searcher.is_exhausted
        assert searcher.ask() is None

    def test_builder_that_raises_still_gets_its_trial(
        self, make: MakeSearcher, path: Path
    ) -> None:
        def declare(hp: Any) -> None:
            units = hp.Int("units", 1, 40)
            if units != 1:
                raise ValueError("too many units")

        searcher = make(declare, path)
        for number in range(5):
            trial = searcher.ask()
            assert trial is not None
            assert (trial.number, set(trial.values)) == (number, {"units"})
            searcher.tell(trial, failed())

    def test_failed_trials_are_no_obstacle(
        self, make: MakeSearcher, path: Path
    ) -> None:
        searcher = make(self.declare, path)
        for number in range(10):
            trial = searcher.ask()
            assert trial is not None
            is_bad = number % 3 != 0
            searcher.tell(trial, failed() if is_bad else complete(float(number)))
        states = [entry.state for entry in open_trial_store(path, "study").records()]
        assert states.count(TrialState.FAILED) == 6

    def test_scores_that_are_not_finite_count_as_failed(
        self, make: MakeSearcher, path: Path
    ) -> None:
        searcher = make(self.declare, path)
        for score in (float("nan"), float("inf"), 0.5, -float("inf")):
            trial = searcher.ask()
            assert trial is not None
            assert searcher.report(trial, 0, score)
            searcher.tell(trial, complete(score))
        entries = open_trial_store(path, "study").records()
        assert [entry.score for entry in entries] == [None, None, 0.5, None]

    def test_several_trials_run_at_once(self, make: MakeSearcher, path: Path) -> None:
        searcher = make(self.declare, path)
        running: list[Trial] = []
        asked: list[Trial] = []
        while len(asked) < 11:
            while len(running) < 3 and (trial := searcher.ask()) is not None:
                running.append(trial)
                asked.append(trial)
            assert running, "nothing runs, but nothing is proposed"
            done = running.pop(1 if len(running) > 1 else 0)
            searcher.tell(done, complete(score_of(done)))
        assert len({identity(trial) for trial in asked}) == len(asked)
        assert [trial.number for trial in asked] == list(range(len(asked)))

    def test_trial_store_has_all_trials(self, make: MakeSearcher, path: Path) -> None:
        asked = run(make(self.declare, path), 6)
        records = open_trial_store(path, "study").records()
        assert [record.trial for record in records] == asked
        assert [record.score for record in records] == [score_of(t) for t in asked]
        for record in records:
            values = {a.parameter.name: a.value for a in record.configuration}
            assert values == record.trial.values

    def test_maximum_of_stepped_floats_is_reached(
        self, make: MakeSearcher, path: Path
    ) -> None:
        def declare(hp: Any) -> None:
            hp.Float("dropout", 0.0, 0.3, step=0.1)

        asked = run(make(declare, path), 10)
        distinct = {trial.values["dropout"] for trial in asked}
        assert distinct == {0.0, 0.1, 0.2, 0.3}

    def test_name_may_mean_two_things(self, make: MakeSearcher, path: Path) -> None:
        def declare(hp: Any) -> None:
            hp.Choice("kind", ["narrow", "wide"])
            with hp.conditional_scope("kind", ["narrow"]):
                hp.Int("units", 1, 4)
            with hp.conditional_scope("kind", ["wide"]):
                hp.Choice("units", [100, 200, 300, 400])

        asked = run(make(declare, path), 20)
        seen: dict[Value, set[Value]] = {"narrow": set(), "wide": set()}
        for trial in asked:
            seen[trial.values["kind"]].add(trial.values["units"])
        assert seen == {"narrow": {1, 2, 3, 4}, "wide": {100, 200, 300, 400}}

    def test_space_without_parameters_has_one_trial(
        self, make: MakeSearcher, path: Path
    ) -> None:
        searcher = make(lambda hp: None, path)
        assert len(run(searcher, 5)) == 1
        assert searcher.is_exhausted
