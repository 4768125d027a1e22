"""Preprocessing of the user's own is loaded by a process that lacks their modules."""

import importlib
import sys

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ktune.errors import ModelLost
from ktune.experiment.model_code import ModelCode, import_name
from ktune.models.export.external_preprocessing import (
    apply_preprocessing,
    write_preprocessing,
)
from ktune.models.registry.transformer_file import dump_transformer

OWN = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Shift(TransformerMixin, BaseEstimator):
    def fit(self, x, y=None):
        self.mean_ = x.mean()
        return self

    def transform(self, x):
        return x - self.mean_


def double(x):
    return 2 * x
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_steps.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("own_steps")
    sys.modules.pop("own_steps", None)


# MLflow looks at the type hints of a served model when its module is imported.
@pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning")
def test_its_classes_and_functions_travel_to_an_export(own, tmp_path):
    steps = make_pipeline(
        StandardScaler(), own.Shift(), FunctionTransformer(own.double)
    )
    rows = np.random.default_rng(0).normal(2, 1, (9, 3))
    file = dump_transformer(steps.fit(rows))
    assert file.own == {"own_steps": {"Shift", "double"}}

    version, exported = tmp_path / "version", tmp_path / "exported"
    for folder in (version / "artifacts", version / "code", exported):
        folder.mkdir(parents=True)
    (version / "artifacts" / "transformer.skops").write_bytes(file.content)
    ModelCode().including(file.own).write(version / "code")
    modules = {module: import_name(module) for module in file.own}
    spec = dict.fromkeys(("columns", "text_columns", "categories"))
    spec |= {"trusted_types": file.trusted, "transformer_modules": modules}
    spec |= {"scale": None, "shift": None}
    write_preprocessing(
        exported, version / "artifacts" / "transformer.skops", spec, "own code"
    )
    del sys.modules["own_steps"]
    (tmp_path / "own_steps.py").unlink()
    found = apply_preprocessing(
        exported, {"rows": rows}, {"preprocessing": "preprocessing.skops"}
    )
    expected = np.asarray(steps.transform(rows), np.float32)
    np.testing.assert_allclose(found["rows"], expected, atol=1e-6)


def test_the_code_of_scikit_learn_does_not_travel():
    assert dump_transformer(StandardScaler()).own == {}


@pytest.mark.parametrize("place", ["<lambda>", "Local"])
def test_a_name_that_cannot_be_imported_is_refused_with_the_remedy(own, place):
    class Local(own.Shift):
        pass

    Local.__module__ = "own_steps"
    function = eval("lambda x: x", vars(own))
    step = Local() if place == "Local" else FunctionTransformer(function)
    with pytest.raises(ModelLost, match="top level of a file.*with `def` or `class`"):
        dump_transformer(step)
