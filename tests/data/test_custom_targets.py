"""Targets of a custom task: which they are, how rows are selected, bad ones."""

import numpy as np
import pandas as pd
import pytest

from ktune.data import load_data
from ktune.data.custom_targets import KEPT_BYTES, kept_rows
from ktune.data.dataset import Task
from ktune.data.folds import split
from ktune.data.nest import Nest, concatenate
from ktune.errors import DataError, ExperimentError

N = 30
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 4)), np.arange(N) % 2
MASKS = RNG.random((N, 8, 8)) > 0.5
SEVERAL = {"kind": Y, "size": X[:, 0], "mask": MASKS}

FORMS = {
    "masks": MASKS,
    "forecasts with one value a step": X[:, :3, None],
    "a dict": SEVERAL,
    "a list": [Y, X[:, 0]],
    "a tuple": (Y, X[:, 0]),
    "a list of a dict": [{"a": Y}, X],
    "series": {"kind": pd.Series(Y), "size": pd.DataFrame(X)},
}


@pytest.mark.parametrize("form", FORMS)
def test_targets_of_other_forms_are_custom(form):
    dataset = load_data((X, FORMS[form]))
    assert (dataset.task, dataset.n_rows) == (Task.CUSTOM, N)
    assert dataset.class_names == ()


@pytest.mark.parametrize("y", [Y, X, [list(row) for row in X], list(X), list(Y)])
def test_a_value_or_a_row_of_values_is_not_custom(y):
    assert load_data((X, y)).task is not Task.CUSTOM


def test_any_targets_are_custom_where_the_task_says_so():
    dataset = load_data((X, Y), task="custom")
    assert dataset.y.tolist() == Y.tolist()


def test_numbers_keep_their_types_except_floats_and_booleans():
    y = load_data((X, SEVERAL)).y
    types = {name: part.dtype for name, part in y.parts.items()}
    assert types == {"kind": np.int64, "size": np.float32, "mask": np.uint8}


def test_rows_of_a_nest_are_selected_together():
    y = load_data((X, [{"a": Y}, X])).y
    rows = np.array([3, 1])
    chosen = y[rows]
    assert len(chosen) == 2
    assert chosen.parts["0/a"].tolist() == Y[rows].tolist()
    both = concatenate([chosen, y[:1]])
    np.testing.assert_array_equal(both.parts["1"], y.parts["1"][[3, 1, 0]])
    assert isinstance(both.structure, list)


def test_folds_and_test_set_hold_the_rows_of_every_output():
    partition = split(load_data((X, SEVERAL)), cv=3, test_size=0.2, seed=0)
    assert (len(partition.y), len(partition.y_test)) == (24, 6)
    np.testing.assert_array_equal(
        partition.y_test.parts["mask"], MASKS[partition.test_rows]
    )


def test_the_digest_depends_on_every_output():
    changed = {**SEVERAL, "mask": ~MASKS}
    one, other = load_data((X, SEVERAL)), load_data((X, changed))
    assert one.digest == load_data((X, SEVERAL)).digest != other.digest


def test_outputs_are_kept_of_as_many_rows_as_have_room():
    rows = np.arange(5, 5 + N)
    assert kept_rows(Y, rows).tolist() == rows.tolist()
    large = Nest({"mask": np.zeros((100, KEPT_BYTES // 10), np.uint8)})
    kept = kept_rows(large, rows)
    assert (len(kept), kept[0], kept[-1]) == (10, 5, 4 + N)


BAD = {
    "text": ({"kind": ["a"] * N, "size": Y}, "targets 'kind' are no numbers"),
    "NaN": (np.where(MASKS, np.nan, 1.0), "values are NaN or infinite"),
    "rows": ({"kind": Y, "size": Y[:-1]}, "different numbers of rows"),
    "nothing": ({}, "dict of targets is empty"),
    "None": ({"kind": Y, "size": None}, "targets 'size' are no numbers"),
    "fewer rows than features": (MASKS[:-1], "30 rows of features but 29 targets"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_targets_have_one_message(case):
    y, told = BAD[case]
    with pytest.raises(DataError) as raised:
        load_data((X, y))
    assert told in str(raised.value)


def test_several_targets_do_not_fit_another_task():
    with pytest.raises(DataError, match="Leave `task` out"):
        load_data((X, SEVERAL), task="regression")


def test_test_targets_have_the_form_of_the_training_targets():
    with pytest.raises(DataError, match=r"shapes kind: \(\), size: \(\)"):
        load_data((X, SEVERAL, X, {"kind": Y, "size": Y}))


def test_masks_have_no_bins_to_stratify_by():
    with pytest.raises(ExperimentError, match="a custom task has arrays"):
        split(load_data((X, MASKS)), cv=2, test_size=0, seed=0, stratify="bins")
