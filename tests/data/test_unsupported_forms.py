"""Forms that only Keras takes: the answer names the form and lines that work."""

import numpy as np
import pandas as pd
import pytest

from ktune.data import load_data
from ktune.errors import DataError

N = 30
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 4)), np.arange(N) % 2
IMAGES = RNG.random((N, 8, 8, 1))
TEXTS = np.array([f"a good film {i}" for i in range(N)])

FORMS = {
    "texts": ((TEXTS, Y), "30 texts"),
    "a column of texts": ((TEXTS.reshape(-1, 1), Y), "kind='sequence'"),
    "a list of texts": ((TEXTS.tolist(), Y), "30 texts"),
    "a series of texts": ((pd.Series(TEXTS), Y), "30 texts"),
    "a generator": (((X[i : i + 5], Y[i : i + 5]) for i in range(3)), "np.concatenate"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_only_keras_takes_is_answered_with_lines_that_work(form):
    data, told = FORMS[form]
    with pytest.raises(DataError) as raised:
        load_data(data)
    assert told in str(raised.value)
    assert str(raised.value).count("\n") == 2


@pytest.mark.parametrize("x", [[X, IMAGES], (X, IMAGES)], ids=["list", "tuple"])
def test_inputs_in_a_list_get_names_in_order(x):
    dataset = load_data((x, Y))
    assert {name: part.shape for name, part in dataset.x.items()} == {
        "input_0": (N, 4),
        "input_1": (N, 8, 8, 1),
    }


def test_one_input_in_a_list_is_an_array():
    assert load_data(([X], Y)).x.shape == (N, 4)


def test_rows_in_a_list_are_no_inputs():
    assert load_data((list(X), list(Y))).x.shape == (N, 4)


NUMBERS = [f"{i}.5" for i in range(N)]

TARGETS = {
    "a word among numbers": ([*NUMBERS, "n.a."], "'n.a.' (row 30) is none"),
    "a word among floats": ([*map(float, NUMBERS), "n.a."], "'n.a.' (row 30) is text"),
    "numbers as text": (NUMBERS, "30 different numbers that are written as text"),
    "decimal commas": ([t.replace(".", ",") for t in NUMBERS], "with decimal=','"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_text_among_targets_is_named_with_its_row(case):
    y, told = TARGETS[case]
    with pytest.raises(DataError) as raised:
        load_data((np.zeros((len(y), 2)), pd.Series(y)))
    assert told in str(raised.value)
    assert len(str(raised.value)) < 300


def test_words_and_few_numbers_are_names_of_classes():
    y = ["0", "1", "2", "3+"] * 10
    assert load_data((np.zeros((40, 2)), y)).class_names == ("0", "1", "2", "3+")
