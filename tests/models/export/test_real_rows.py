"""Rows to compare on, where the search of a model is not known."""

from types import SimpleNamespace

import numpy as np

from ktune.models.export.real_rows import find_real_rows


def test_recorded_rows_of_several_inputs_are_numbers():
    example = {"a": np.array([[1.0, 2.0]], object), "b": np.array([[3]], object)}
    found = SimpleNamespace(tags={})
    model = SimpleNamespace(example=example, found=found, spec={})
    rows = find_real_rows(None, model, None)
    assert {n: part.dtype.kind for n, part in rows.compared.items()} == {
        "a": "f",
        "b": "i",
    }
    assert "no search is recorded" in rows.origin
