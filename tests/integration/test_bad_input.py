"""Whatever is wrong with an experiment: one message, exit code 2, nothing left."""

import pytest

from ktune.cli.main import main

HEAD = """
import keras
import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, StratifiedKFold

import ktune

rng = np.random.default_rng(0)
X, y = rng.normal(size=(60, 4)), np.arange(60) % 3


def build(hp):
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def make(**fields):
    return ktune.Experiment(**{"name": "e", "data": (X, y), "build": build, **fields})


"""

FILES = {
    "a misspelt field": ("e = make(trails=3)", "Did you mean 'trials'?"),
    "several problems": ("e = make(cv=1, trials=0, seed=-1)", "3 problems"),
    "an unknown metric": ("e = make(objective='val_acuracy')", "'val_accuracy'"),
    "a metric of another task": ("e = make(objective='rmse')", "rmse"),
    "an unknown sampler": ("e = make(sampler='tpa')", "Did you mean 'tpe'?"),
    "a sampler of the other engine": ("e = make(sampler='hyperband')", "optuna"),
    "a name that leaves the store": ("e = make(name='../x')", "`name`"),
    "a bad timeout": ("e = make(timeout='soon')", "'20m'"),
    "a bad fit": ("e = make(fit={'batchsize': 3})", "Did you mean 'batch_size'?"),
    "a fit that returns nothing": ("e = make(fit=lambda hp: None)", "dict"),
    "a fit that raises": ("e = make(fit=lambda hp: 1 / 0)", "ZeroDivisionError"),
    "no experiment": ("", "defines no experiment"),
    "two experiments": ("a, b = make(name='a'), make(name='b')", "Say which"),
    "a syntax error": ("e = make(", "line"),
    "a missing module": ("import no_such_module", "no_such_module"),
    "an exception": ("raise RuntimeError('on purpose')", "on purpose"),
    "rows that do not match": ("e = make(data=(X, y[:-1]))", "59"),
    "NaN targets": ("e = make(data=(X, np.full(60, np.nan)))", "target"),
    "infinite features": ("e = make(data=(X + np.inf, y))", "inf"),
    "one class": ("e = make(data=(X, y * 0))", "class"),
    "no rows": ("e = make(data=(X[:0], y[:0]))", "empty"),
    "no data": ("e = make(data=None)", "`data`"),
    "data that raise": ("e = make(data=lambda: 1 / 0)", "ZeroDivisionError"),
    "a rare class": ("y[:] = 0; y[:2] = 1; e = make(data=(X, y))", "too few"),
    "too many folds": ("e = make(cv=30)", "fold"),
    "a splitter without groups": ("e = make(cv=GroupKFold(3))", "`cv`"),
    "a build that raises": ("e = make(build=lambda hp: 1 / 0)", "ZeroDivisionError"),
    "a build of nothing": ("e = make(build=lambda hp: None)", "Keras model"),
    "no build": ("e = make(build=3)", "`build`"),
    "too few outputs": (
        "def small(hp):\n"
        "    model = keras.Sequential([keras.layers.Dense(2)])\n"
        "    model.compile('adam', 'sparse_categorical_crossentropy')\n"
        "    return model\n"
        "e = make(build=small)",
        "(3,)",
    ),
    "a layer that does not fit": (
        "e = make(build=lambda hp: keras.Sequential([keras.layers.Conv2D(2, 3)]))",
        "`build` failed",
    ),
    "a transformer that fails": (
        "from sklearn.feature_extraction.text import CountVectorizer\n"
        "e = make(preprocess=CountVectorizer())",
        "`preprocess`",
    ),
    "an unknown trainer": ("e = make(trainer='fast')", "keras_fit"),
    "a space grid cannot list": (
        "def wide(hp):\n"
        "    hp.Float('rate', 0, 1)\n"
        "    return build(hp)\n"
        "e = make(build=wide, sampler='grid')",
        "rate",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_mistake_is_explained_and_leaves_nothing(case, tmp_path, monkeypatch, capsys):
    text, told = FILES[case]
    file = tmp_path / "experiment_file.py"
    file.write_text(HEAD + text + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["search", "experiment_file.py", "-q"]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} <= {file.name, "__pycache__"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["no_such_file.py"], "there is no file"),
        (["."], "not a Python file"),
        (["experiment_file.py:other"], "no experiment 'other'"),
        (["experiment_file.py", "--trials", "0"], "`trials`"),
        (["experiment_file.py", "--folds", "1"], "`cv`"),
        (["experiment_file.py", "--epochs", "0"], "'epochs'"),
        (["experiment_file.py", "--sampler", "gird"], "Did you mean 'grid'?"),
        (["experiment_file.py", "--engine", "ray"], "kerastuner"),
        (["experiment_file.py", "-S", "cv"], "key=value"),
        (["experiment_file.py", "-S", "tset_size=0.3"], "Did you mean 'test_size'?"),
        (["experiment_file.py", "--tracking-uri", "./mlruns"], "sqlite:///"),
    ],
)
def test_a_wrong_option_is_explained_and_leaves_nothing(
    options, told, tmp_path, monkeypatch, capsys
):
    (tmp_path / "experiment_file.py").write_text(HEAD + "experiment = make()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["search", *options, "-q"]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err
    assert not (tmp_path / "mlruns").exists()
