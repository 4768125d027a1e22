"""Whatever a builder declares, every proposed value is one KerasTuner could give."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_tuner.engine import hyperparameters

from ktune.errors import SpaceError
from ktune.searchers.keras_tuner import KerasTunerSearcher
from ktune.searchers.optuna import OptunaSearcher
from ktune.searchers.optuna_space import decode, distribution_of, encode
from ktune.searchers.parameter import (
    Parameter,
    parameter_from_json,
    parameter_of,
    parameter_to_json,
)
from ktune.searchers.study import quiet
from ktune.searchers.trial_store import TrialStore
from ktune.spaces.hyperparameters import replay
from ktune.testing.searchers import complete, score_of
from ktune.trial import Value

SAMPLINGS = ("linear", "log", "reverse_log")


@dataclass(frozen=True)
class Declared:
    kind: str
    arguments: tuple[tuple[str, Any], ...]

    def ask(self, hp: Any, name: str) -> Any:
        return getattr(hp, self.kind)(name, **dict(self.arguments))

    def hyperparameter(self) -> Any:
        hp = keras_tuner.HyperParameters()
        self.ask(hp, "x")
        return hp.space[0]


def declared(kind: str, **arguments: Any) -> Declared:
    return Declared(kind, tuple(arguments.items()))


@st.composite
def ints(draw: st.DrawFn) -> Declared:
    low = draw(st.integers(1, 50))
    high = low + draw(st.integers(0, 300))
    sampling = draw(st.sampled_from(SAMPLINGS))
    step = draw(st.none() | st.integers(1 if sampling == "linear" else 2, 7))
    default = draw(st.none() | st.integers(low, high))
    return declared(
        "Int",
        min_value=low,
        max_value=high,
        step=step,
        sampling=sampling,
        default=default,
    )


@st.composite
def floats(draw: st.DrawFn) -> Declared:
    low = draw(st.sampled_from([1e-5, 0.01, 0.1, 0.25, 1.0, 3.0]))
    high = low + draw(st.sampled_from([0.0, 0.3, 0.5, 1.0, 7.7, 100.0]))
    sampling = draw(st.sampled_from(SAMPLINGS))
    steps = [0.1, 0.05, 1 / 3, 0.7] if sampling == "linear" else [1.5, 2.0, 10.0]
    step = draw(st.none() | st.sampled_from(steps))
    return declared(
        "Float", min_value=low, max_value=high, step=step, sampling=sampling
    )


CHOICES = st.sampled_from(
    [
        declared("Choice", values=["a", "b", "c"], default="b"),
        declared("Choice", values=[1, 2, 4, 2]),
        declared("Choice", values=[0.1, 0.5, 1.0]),
        declared("Choice", values=[True, False]),
        declared("Choice", values=["only"]),
        declared("Boolean"),
        declared("Boolean", default=True),
        declared("Fixed", value="relu"),
        declared("Fixed", value=3),
    ]
)
DECLARATIONS = st.one_of(ints(), floats(), CHOICES)


def is_in_domain(hyperparameter: Any, value: Value) -> bool:
    """Whether KerasTuner could give this value, judged by its own code."""
    kind = type(hyperparameter).__name__
    if kind in ("Choice", "Boolean", "Fixed"):
        same = [v for v in hyperparameter.values if v == value]
        return bool(same) and type(same[0]) is type(value)
    low, high = hyperparameter.min_value, hyperparameter.max_value
    assert not isinstance(value, str)
    if type(value) is not (int if kind == "Int" else float) or not low <= value <= high:
        return False
    if hyperparameter.step is None:
        return True
    # Its list of values lacks the maximum where floats divide badly: that one too.
    values = [*hyperparameter.values, high]
    return any(abs(value - int_or(v, kind)) < 1e-9 * max(1, high) for v in values)


def int_or(value: float, kind: str) -> float:
    return int(value) if kind == "Int" else value


@given(DECLARATIONS, st.integers(0, 10**6))
def test_random_values_lie_in_the_domain(declaration: Declared, seed: int) -> None:
    hyperparameter = declaration.hyperparameter()
    parameter = parameter_of(hyperparameter)
    for share in (0.0, 1 - 2**-53):
        assert is_in_domain(hyperparameter, parameter.value_at_share(share))
    assert is_in_domain(hyperparameter, parameter.draw(random.Random(seed)))


@given(DECLARATIONS)
def test_every_listed_value_is_found_again(declaration: Declared) -> None:
    parameter = parameter_of(declaration.hyperparameter())
    for index, value in enumerate(parameter.values or ()):
        assert is_in_domain(declaration.hyperparameter(), value)
        assert parameter.index_of(value) == index


@given(DECLARATIONS)
def test_all_values_of_keras_tuner_are_among_them(declaration: Declared) -> None:
    hyperparameter = declaration.hyperparameter()
    parameter = parameter_of(hyperparameter)
    if parameter.values is None or getattr(hyperparameter, "step", 1) is None:
        return
    for expected in hyperparameter.values:
        number = isinstance(expected, int | float)
        plain = parameter.plain(expected) if number else expected
        assert any(
            v == plain or (number and abs(v - plain) < 1e-9)  # type: ignore[operator]
            for v in parameter.values
        )


@given(DECLARATIONS)
def test_parameters_survive_the_trial_store(declaration: Declared) -> None:
    parameter = parameter_of(declaration.hyperparameter())
    assert parameter_from_json(parameter_to_json(parameter)) == parameter


@given(DECLARATIONS, st.integers(0, 10**6))
@settings(deadline=None)
def test_optuna_gives_back_what_it_stores(declaration: Declared, seed: int) -> None:
    parameter = parameter_of(declaration.hyperparameter())
    distribution = distribution_of(parameter)
    if distribution is None:
        assert parameter.n_values == 1
        return
    value = parameter.draw(random.Random(seed))
    stored = encode(parameter, value)
    assert distribution._contains(distribution.to_internal_repr(stored))
    back = decode(parameter, stored)
    assert back == value or abs(back - value) < 1e-9 * abs(value)  # type: ignore[operator]
    assert type(back) is type(value)


def make_optuna(declare: Any, seed: int) -> OptunaSearcher:
    return OptunaSearcher(
        declare, trial_store=new_trial_store(), sampler="random", seed=seed
    )


def make_keras_tuner(declare: Any, seed: int) -> KerasTunerSearcher:
    return KerasTunerSearcher(
        declare, trial_store=new_trial_store(), sampler="random", seed=seed
    )


def new_trial_store() -> TrialStore:
    with quiet():
        return TrialStore(optuna.create_study(direction="maximize"))


@pytest.mark.parametrize("make", [make_optuna, make_keras_tuner])
@given(st.lists(DECLARATIONS, min_size=1, max_size=4), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_proposals_lie_in_the_domain_and_replay(
    make: Callable[..., Any], declarations: list[Declared], seed: int
) -> None:
    def declare(hp: Any) -> None:
        for index, declaration in enumerate(declarations):
            with hp.name_scope("scope"):
                declaration.ask(hp, f"x{index}")

    searcher = make(declare, seed)
    for _ in range(4):
        trial = searcher.ask()
        if trial is None:
            assert searcher.is_exhausted
            break
        for declaration, value in zip(declarations, trial.values.values(), strict=True):
            if trial.number > 0:  # a default need not be on the steps
                assert is_in_domain(declaration.hyperparameter(), value)
        hp = replay(trial.values)
        declare(hp)
        assert hp.values == trial.values
        searcher.tell(trial, complete(score_of(trial)))


@given(st.lists(DECLARATIONS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_both_engines_see_the_same_space(declarations: list[Declared]) -> None:
    def declare(hp: Any) -> None:
        for index, declaration in enumerate(declarations):
            declaration.ask(hp, f"x{index}")

    spaces = []
    for make in (make_optuna, make_keras_tuner):
        searcher = make(declare, 0)
        trial = searcher.ask()
        assert trial is not None
        spaces.append((trial, searcher._state.trial_store.parameters()))
    assert spaces[0] == spaces[1]


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ((0.0, 0.3, 0.1), [0.0, 0.1, 0.2, 0.3]),
        ((0.0, 0.5, 0.1), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ((0.1, 0.5, 0.1), [0.1, 0.2, 0.3, 0.4, 0.5]),
        ((0.0, 1.0, 0.3), [0.0, 0.3, 0.6, 0.9]),
        ((0.0, 10.0, 5), [0.0, 5.0, 10.0]),
    ],
)
def test_stepped_floats_are_the_decimals_a_user_means(
    arguments: tuple[float, float, float], values: list[float]
) -> None:
    low, high, step = arguments
    declared_float = hyperparameters.Float("x", low, high, step=step)
    assert list(parameter_of(declared_float).values or ()) == values


def test_huge_ranges_count_as_continua() -> None:
    parameter = parameter_of(hyperparameters.Int("x", 1, 10**9))
    assert parameter.n_values == 10**9
    assert parameter.values is None
    assert parameter.value_at(10**9 - 1) == 10**9


def test_unknown_sort_of_parameter_is_named() -> None:
    class Strange(hyperparameters.HyperParameter):
        pass

    with pytest.raises(SpaceError, match="'x': Strange is not known. Known: Int"):
        parameter_of(Strange("x"))


def test_default_that_is_no_multiple_of_the_step_is_kept_exactly(
    tmp_path: Path,
) -> None:
    def declare(hp: Any) -> None:
        hp.Int("units", 32, 256, step=32, default=100)

    searcher = make_optuna(declare, 0)
    trial = searcher.ask()
    assert trial is not None
    assert trial.values == {"units": 100}
    stored = searcher._state.trial_store.study.trials[0].params
    assert stored == {"units": 96}


def test_parameter_is_plain_data() -> None:
    parameter = parameter_of(hyperparameters.Int("x", 1, 3))
    assert parameter == Parameter("x", "int", default=1, low=1, high=3, step=1)
