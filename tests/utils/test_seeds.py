import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.utils.seeds import derive_seed

PARTS = st.lists(st.integers() | st.text(), min_size=1, max_size=4)


@given(PARTS)
def test_seeds_are_valid_everywhere_and_never_zero(parts):
    assert 1 <= derive_seed(*parts) <= 2**31 - 1


@given(PARTS)
def test_seeds_depend_on_their_parts_alone(parts):
    assert derive_seed(*parts) == derive_seed(*parts)


def test_seeds_are_the_same_in_every_process():
    program = "from ktune.utils.seeds import derive_seed; print(derive_seed(0, 'x', 3))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            text=True,
            env={"PYTHONHASHSEED": salt, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for salt in ("1", "2")
    }
    assert found == {f"{derive_seed(0, 'x', 3)}\n"}


def test_trials_and_folds_get_seeds_of_their_own():
    seeds = {derive_seed(s, t, f) for s in range(5) for t in range(50) for f in "0123"}
    assert len(seeds) == 5 * 50 * 4


@pytest.mark.parametrize(("one", "other"), [((1, 23), (12, 3)), ((0,), (1,))])
def test_other_parts_give_another_seed(one, other):
    assert derive_seed(*one) != derive_seed(*other)
