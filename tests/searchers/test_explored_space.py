"""The tree of tried configurations knows what is left, whatever the order of trials."""

import itertools
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.searchers.explored_space import ExploredSpace


def step(key, values, value):
    """A question of the builder and its answer; `values` None: a continuum."""
    return SimpleNamespace(
        key=key, parameter=SimpleNamespace(name=key, values=values), value=value
    )


def paths(n_first, n_second):
    """All paths of a space whose second question depends on the first answer."""
    first = tuple(range(n_first))
    for value in first:
        head = step("a", first, value)
        second = tuple(range(n_second * (value % 2)))  # asked below odd answers only
        tails = [[step("b", second, answer)] for answer in second] or [[]]
        yield from ([head, *tail] for tail in tails)


every_path = (
    st.tuples(st.integers(1, 4), st.integers(1, 3))
    .map(lambda sizes: list(paths(*sizes)))
    .flatmap(st.permutations)
)
"""All paths of some space, in some order."""


@given(every_path)
def test_a_finite_space_is_exhausted_by_its_last_configuration(every):
    explored = ExploredSpace()
    for path in every:
        assert not explored.is_exhausted
        explored.add(path)
        explored.add(path)  # a repeated trial
    assert explored.is_exhausted
    assert explored.unexplored(random.Random(0).choice) is None


@given(every_path, st.randoms(use_true_random=False))
def test_a_configuration_proposed_as_new_has_not_been_tried(every, generator):
    explored = ExploredSpace()
    for path in every:
        answers = explored.unexplored(generator.choice)
        tried = [[(s.key, s.value) for s in p] for p in every if p in explored]
        assert all(found[: len(answers)] != answers for found in tried)
        explored.add(path)


def test_a_continuum_is_never_exhausted():
    explored = ExploredSpace()
    for value in (0.1, 0.2, 0.3):
        explored.add([step("rate", None, value)])
    assert not explored.is_exhausted


def test_a_value_that_is_listed_twice_is_tried_once():
    explored = ExploredSpace()
    for value in (1, 2):
        explored.add([step("units", (1, 2, 2), value)])
    assert explored.is_exhausted


def test_values_are_listed_once_a_question():
    listed = []

    class Parameter:
        name = "units"

        @property
        def values(self):
            listed.append(1)
            return tuple(range(1000))

    explored = ExploredSpace()
    for value in range(10):
        explored.add([SimpleNamespace(key="u", parameter=Parameter(), value=value)])
    assert len(listed) == 1


@pytest.mark.parametrize("n_values", [1, 3])
def test_independent_questions_are_exhausted_by_their_product(n_values):
    values = tuple(range(n_values))
    explored = ExploredSpace()
    for first, second in itertools.product(values, values):
        assert not explored.is_exhausted
        explored.add([step("a", values, first), step("b", values, second)])
    assert explored.is_exhausted
