"""The sentence at the end of a reproduction."""

import pytest

from ktune.tuner.reproduction.changes import Change
from ktune.tuner.reproduction.comparison import RunComparison, Sameness
from ktune.tuner.reproduction.reproducing import Reproduction

CPUS = Change("machine", "cpus was 8, is 2")
THREADS = Change("backend", "threads was 4, is 1")
DATA = Change("data", "digest was ab, is cd")
CLOSE, DIFFERENT = Sameness.CLOSE, Sameness.DIFFERENT


def conclude(sameness, *changes):
    comparison = RunComparison("val_loss", 0.5, 0.5, 1e-7, sameness)
    return Reproduction("ab", "trial 3", 1e-3, (comparison,), changes).conclusion


@pytest.mark.parametrize("changes", [(CPUS,), (THREADS,), (CPUS, THREADS)])
def test_a_small_difference_by_another_number_of_threads_is_named(changes):
    assert "number of threads" in conclude(CLOSE, *changes)


@pytest.mark.parametrize(
    ("sameness", "changes"), [(CLOSE, (CPUS, DATA)), (DIFFERENT, (CPUS,))]
)
def test_other_differences_are_not_put_down_to_threads(sameness, changes):
    assert conclude(sameness, *changes).endswith("The changes are listed above.")


def test_a_change_that_does_not_matter_is_no_cause():
    source = Change("source", "a.py has changed", matters=False)
    assert "nothing recorded has changed" in conclude(CLOSE, source)
