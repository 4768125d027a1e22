import math
import re

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, ShuffleSplit, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from ktune.errors import ExperimentError
from ktune.experiment.choices import SAMPLERS
from ktune.experiment.experiment import Experiment, override
from ktune.experiment.validation import parse_duration

GOOD = {"name": "x", "data": ([[0.0]], [0]), "build": lambda hp: None}


def make(**fields):
    return Experiment(**{**GOOD, **fields})


def complaint(**fields):
    with pytest.raises(ExperimentError) as raised:
        make(**fields)
    return str(raised.value)


def test_three_fields_are_enough():
    experiment = Experiment(**GOOD)
    assert (experiment.engine, experiment.chosen_sampler) == ("optuna", "tpe")
    assert experiment.timeout_seconds is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cv", 2),
        ("cv", StratifiedKFold(3)),
        ("cv", ShuffleSplit(n_splits=1)),
        ("cv", GroupKFold(3)),
        ("test_size", 0),
        ("test_size", 0.99),
        ("objective", None),
        ("objective", "val_f1_macro"),
        ("objective", "loss"),
        ("metrics", ["roc_auc", "val_acc"]),
        ("metrics", ()),
        ("preprocess", None),
        ("preprocess", StandardScaler()),
        ("timeout", "1h30m"),
        ("timeout", 0.5),
        ("fit", {"epochs": 3}),
        ("fit", lambda hp: {}),
        ("task", "regression"),
        ("seed", 0),
        ("name", "MNIST 2.0 - small_one"),
        ("data", lambda: None),
    ],
)
def test_good_values_are_taken(field, value):
    assert getattr(make(**{field: value}), field) is value


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "`name` must be text"),
        ("name", "a/b", "`name` must be text"),
        ("name", " a", "`name` must be text"),
        ("name", "a\n", "`name` must be text"),
        ("name", "a" * 101, "at most 100 long"),
        ("name", "a" * 5000, f"got '{12 * 'a'}...{13 * 'a'}'"),
        ("name", 3, "got 3"),
        ("data", None, "`data` must be arrays"),
        ("build", "cnn", "`build` must be a function build(hp)"),
        ("fit", [1], "`fit` must be a dict or a function of hp"),
        ("fit", {"epocs": 3}, "Did you mean 'epochs'?"),
        ("fit", {"epochs": 0}, "'epochs' must be an int of at least 1; got 0"),
        ("objective", "acuracy", "Did you mean 'accuracy'?"),
        ("objective", 3, "an objective must be a name"),
        ("metrics", "accuracy", "`metrics` must be a list of scorer names"),
        ("metrics", ["acuracy"], "metrics: 'acuracy' is not a metric"),
        ("metrics", [3], "a metric must be named by text; got 3"),
        ("metrics", 7, "`metrics` must be a list"),
        ("cv", 1, "For a single hold-out use ShuffleSplit(n_splits=1)."),
        ("cv", 0, "`cv` must be an int of at least 2"),
        ("cv", True, "`cv` must be an int of at least 2"),
        ("cv", 2.5, "`cv` must be an int of at least 2"),
        ("cv", "a b", "`cv` must be an int of at least 2"),
        ("cv", np.array([[0, 1], [1, 0]]), "`cv` must be an int of at least 2"),
        ("cv", StratifiedKFold, "Give an instance: StratifiedKFold(...)"),
        ("test_size", 1, "`test_size` must be a share in [0, 1); got 1"),
        ("test_size", -0.1, "`test_size` must be a share"),
        ("test_size", math.nan, "`test_size` must be a share"),
        ("test_size", "20%", "`test_size` must be a share"),
        ("test_size", True, "`test_size` must be a share"),
        ("engine", "optun", "Did you mean 'optuna'?"),
        ("engine", ["optuna"], "`engine` must be one of optuna, kerastuner"),
        ("engine", None, "`engine` must be one of optuna, kerastuner; got None"),
        ("sampler", "pte", "`sampler` must be one of tpe, "),
        ("sampler", "bayesian", "(engine 'optuna')"),
        ("sampler", ["tpe"], "`sampler` must be one of tpe, "),
        ("pruner", "medain", "Did you mean 'median'?"),
        ("pruner", None, "`pruner` must be one of none, median"),
        ("trials", 0, "`trials` must be an int of at least 1; got 0"),
        ("trials", 2.0, "`trials` must be an int of at least 1; got 2.0"),
        ("timeout", "20 minutes", "`timeout` must be a positive number of seconds"),
        ("timeout", 0, "`timeout` must be a positive number of seconds"),
        ("timeout", [], "`timeout` must be a positive number of seconds"),
        ("seed", -1, "`seed` must be an int of at least 0"),
        ("seed", None, "`seed` must be an int of at least 0"),
        ("preprocess", "standard", "`preprocess` must be None, 'auto' or a"),
        ("preprocess", StandardScaler, "Give an instance: StandardScaler(...)"),
        ("preprocess", np.ones((2, 2)), "`preprocess` must be None, 'auto' or a"),
        ("task", "multi_class", "Did you mean 'multiclass'?"),
        ("trainer", "grph", "Did you mean 'graph'?"),
        ("executor", "process", "Did you mean 'processes'?"),
        ("jobs", 0, "`jobs` must be an int of at least 1"),
        ("ray_address", 6379, "`ray_address` must be 'HOST:PORT', 'auto' or None"),
        ("cpus", 0, "`cpus` must be a share of one, such as 0.5, or a whole number"),
        ("cpus", float("inf"), "`cpus` must be a share of one"),
        ("gpus", 1.5, "`gpus` must be a share of one"),
        ("deterministic", "no", "`deterministic` must be True or False"),
        ("license", 2, "`license` must be text"),
        ("fit_overrides", {"epochs": -1}, "'epochs' must be an int"),
    ],
)
def test_a_bad_value_is_answered_with_what_is_valid(field, value, said):
    assert said in complaint(**{field: value})


def test_a_misspelt_field_is_answered_with_the_nearest_one():
    message = complaint(trails=3)
    assert message.startswith("an experiment has no field 'trails'. Known: name, data")
    assert message.endswith("Did you mean 'trials'?")


def test_missing_fields_are_named():
    with pytest.raises(ExperimentError) as raised:
        Experiment(name="x")
    assert "`data` is missing" in str(raised.value)
    assert "`build` is missing" in str(raised.value)


def test_all_problems_come_in_one_message():
    message = complaint(trails=3, cv=1, seed=-1, objective="acuracy", pruner="none?")
    assert message.startswith("5 problems:\n  - ")
    for word in ("'trails'", "`cv`", "`seed`", "objective 'acuracy'", "`pruner`"):
        assert sum(word in line for line in message.splitlines()) == 1


def test_fields_are_read_only():
    with pytest.raises(AttributeError):
        make().trials = 3


@pytest.mark.parametrize("engine", list(SAMPLERS))
def test_the_first_sampler_of_an_engine_is_its_default(engine):
    assert make(engine=engine).chosen_sampler == SAMPLERS[engine][0]
    for sampler in SAMPLERS[engine]:
        assert make(engine=engine, sampler=sampler).chosen_sampler == sampler


def test_changes_replace_fields_and_leave_the_original():
    experiment = make(trials=3, seed=7)
    changed = override(experiment, {"trials": 5, "pruner": "none"})
    assert (changed.trials, changed.pruner, changed.seed) == (5, "none", 7)
    assert experiment.trials == 3


def test_settings_of_fit_are_changed_one_by_one():
    once = override(make(fit={"batch_size": 8}), {"fit.epochs": 2})
    twice = override(once, {"fit.batch_size": 16})
    assert twice.fit == {"batch_size": 8}
    assert twice.fit_overrides == {"epochs": 2, "batch_size": 16}


def test_another_engine_brings_its_own_sampler():
    changed = override(make(sampler="cmaes"), {"engine": "kerastuner"})
    assert changed.chosen_sampler == "bayesian"


def test_the_same_engine_keeps_the_sampler():
    changed = override(make(sampler="cmaes"), {"engine": "optuna"})
    assert changed.chosen_sampler == "cmaes"


def test_engine_and_sampler_may_change_together():
    changes = {"engine": "kerastuner", "sampler": "random"}
    assert override(make(sampler="tpe"), changes).chosen_sampler == "random"


def test_all_problems_of_changes_come_in_one_message():
    with pytest.raises(ExperimentError) as raised:
        override(make(), {"trails": 3, "cv": 1, "fit.epocs": 3})
    message = str(raised.value)
    assert message.startswith("3 problems:")
    assert "Did you mean 'trials'?" in message
    assert "`cv` must be" in message
    assert "Did you mean 'epochs'?" in message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h30m", 5400),
        ("20m", 1200),
        ("45s", 45),
        ("1h1s", 3601),
        ("90", 90),
        (1.5, 1.5),
        (3, 3),
    ],
)
def test_durations_are_numbers_or_text(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "bad",
    ["", "0s", "m", "1.5h", "1m1h", "-3", "²", " 20m", 0, -1, math.nan, math.inf]
    + [True, None, [], "1e3"],
)
def test_other_durations_are_an_error(bad):
    with pytest.raises(ExperimentError, match="`timeout` must be a positive number"):
        parse_duration(bad)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objective": "n_parameters"}, "cannot be 'n_parameters' alone"),
        ({"objective": ["latency_ms", "accuracy"]}, "must begin with a metric"),
        ({"objective": ["accuracy", "n_parameter"]}, "Did you mean 'n_parameters'"),
        ({"objective": ["accuracy", "val_accuracy"]}, "something twice"),
        ({"objective": []}, "must begin with a metric"),
        ({"pick": "best"}, "it needs several objectives"),
        ({"objective": ["f1", "loss"], "pick": "besst"}, "Did you mean 'best'"),
        ({"objective": ["f1", "loss"], "sampler": "cmaes"}, "one objective only"),
        ({"objective": ["f1", "loss"], "engine": "kerastuner"}, "one objective only"),
        ({"max_parameters": 0}, "`max_parameters` must be None or a positive number"),
        ({"max_latency_ms": "1"}, "`max_latency_ms` must be None or a positive"),
    ],
)
def test_what_cannot_be_meant_by_several_objectives_or_limits_is_said(fields, message):
    with pytest.raises(ExperimentError, match=re.escape(message)):
        Experiment(name="x", data=([[0.0]], [0]), build=print, **fields)
