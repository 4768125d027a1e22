import csv
import io
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.tracking import names
from ktune.tracking.records import (
    as_json_bytes,
    best_metrics,
    params_of,
    trial_as_json,
    trial_from_json,
    trial_record,
    values_text,
)
from ktune.trial import Failure, FoldResult, Trial, TrialResult, TrialState

NAN = math.nan
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBER = FINITE | st.just(NAN)
SCORES = st.dictionaries(
    st.sampled_from(["loss", "accuracy", "f1"]), NUMBER, min_size=1
)
TRIALS = st.builds(
    Trial,
    number=st.integers(0, 999),
    values=st.dictionaries(
        st.text(), st.booleans() | st.integers() | FINITE | st.text()
    ),
    seed=st.integers(1, 2**31),
    epochs=st.none() | st.integers(1, 99),
    parent=st.none() | st.integers(0, 99),
)
FOLDS = st.builds(
    FoldResult,
    index=st.integers(0, 9),
    n_train=st.integers(0, 999),
    n_validation=st.integers(0, 999),
    validation=SCORES,
    train=SCORES,
)
CURVES = st.dictionaries(
    st.sampled_from(["val_loss", "train_f1"]),
    st.lists(st.lists(NUMBER).map(tuple)).map(tuple),
)
RESULTS = st.builds(
    TrialResult,
    state=st.sampled_from(TrialState),
    score=st.none() | FINITE,
    best_epoch=st.none() | st.integers(0, 99),
    epochs=st.integers(0, 99),
    folds=st.lists(FOLDS, max_size=3).map(tuple),
    curves=CURVES,
    n_parameters=st.none() | st.integers(0),
    seconds=st.floats(0, 1e9),
    trainer=st.text(),
    summary=st.text(),
    confusion=st.lists(st.lists(st.integers(0)).map(tuple)).map(tuple),
    failure=st.none() | st.builds(Failure),
)


@given(TRIALS, RESULTS)
def test_a_trial_comes_back_from_json_as_it_was(trial, result):
    record = json.loads(as_json_bytes(trial_as_json(trial, result)))
    # NaN differs from itself; its text does not.
    assert repr(trial_from_json(record)) == repr((trial, result))


def test_predictions_are_left_out_of_json():
    record = trial_as_json(TRIAL, complete(out_of_fold=b"much"))
    assert "out_of_fold" not in record["result"]
    assert trial_from_json(record)[1].out_of_fold == b""


@given(st.recursive(NUMBER | st.just(math.inf), lambda inner: st.lists(inner)))
def test_json_has_no_literals_that_only_python_reads(content):
    text = as_json_bytes({"x": content}).decode()
    assert not re.search("NaN|Infinity", text)


TRIAL = Trial(number=7, values={"units": 32, "rate": 1e-3, "act": "relu"}, seed=1)


def fold(index, accuracy, *, loss=0.5, train=0.9):
    return FoldResult(
        index=index,
        n_train=20,
        n_validation=10,
        validation={"loss": loss, "accuracy": accuracy},
        train={"loss": loss / 2, "accuracy": train},
    )


def complete(**more):
    given = {
        "score": 0.8,
        "best_epoch": 1,
        "epochs": 2,
        "folds": (fold(0, 0.7), fold(1, 0.9)),
        "curves": {
            "val_accuracy": ((0.5, 0.7), (0.7, 0.9)),
            "train_loss": ((0.4, 0.2), (0.6, 0.4)),
        },
        "n_parameters": 123,
        "seconds": 4.5,
        "trainer": "graph",
        "summary": "dense",
        "out_of_fold": b"npz",
        "confusion": ((3, 1), (0, 4)),
    }
    return TrialResult(TrialState.COMPLETE, **{**given, **more})


def metrics_of(result):
    points = trial_record(TRIAL, result).metrics
    return {(point.key, point.step): point.value for point in points}


def test_metrics_have_the_names_of_the_contract():
    assert metrics_of(complete()) == pytest.approx(
        {
            ("fit_seconds", 0): 4.5,
            ("epochs", 0): 2,
            ("best_epoch", 0): 1,
            ("n_parameters", 0): 123,
            ("val_loss", 0): 0.5,
            ("val_loss_std", 0): 0.0,
            ("train_loss", 0): 0.25,
            ("val_accuracy", 0): 0.8,
            ("val_accuracy_std", 0): math.sqrt(0.02),
            ("train_accuracy", 0): 0.9,
            ("fold0_val_loss", 0): 0.5,
            ("fold0_val_accuracy", 0): 0.7,
            ("fold1_val_loss", 0): 0.5,
            ("fold1_val_accuracy", 0): 0.9,
            ("epoch_val_accuracy", 0): 0.6,
            ("epoch_val_accuracy", 1): 0.8,
            ("epoch_train_loss", 0): 0.5,
            ("epoch_train_loss", 1): 0.3,
        }
    )


def test_every_metric_is_in_the_table_of_names():
    rows = [row for row in (names.__doc__ or "").splitlines() if "| metric |" in row]
    listed = re.findall("`([^`]+)`", "".join(rows))
    forms = (
        "|".join(listed).replace("<metric>", "(loss|accuracy)").replace("<k>", "[01]")
    )
    for key, _ in metrics_of(complete()):
        assert re.fullmatch(forms, key)
    for point in best_metrics(complete()):
        assert re.fullmatch(forms, point.key)


def test_a_single_fold_has_no_deviation():
    found = metrics_of(complete(folds=(fold(0, 0.7),), curves={}))
    assert ("val_accuracy", 0) in found
    assert ("val_accuracy_std", 0) not in found


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_metrics_that_are_not_finite_are_left_out(bad):
    curves = {"val_accuracy": ((0.5, bad), (0.5, 0.5))}
    found = metrics_of(complete(folds=(fold(0, bad), fold(1, 0.9)), curves=curves))
    assert ("fold1_val_accuracy", 0) in found
    assert ("val_loss", 0) in found
    assert ("epoch_val_accuracy", 0) in found
    gone = {
        ("val_accuracy", 0),
        ("val_accuracy_std", 0),
        ("fold0_val_accuracy", 0),
        ("epoch_val_accuracy", 1),
    }
    assert not gone & set(found)


def test_a_complete_trial_is_a_finished_run():
    record = trial_record(TRIAL, complete())
    assert (record.name, record.status, record.seconds) == ("trial 7", "FINISHED", 4.5)
    assert record.tags == {
        "ktune.kind": "trial",
        "ktune.trial": "7",
        "ktune.state": "complete",
        "ktune.trainer": "graph",
        "ktune.values": '{"units": 32, "rate": 0.001, "act": "relu"}',
    }
    assert record.params == {"units": "32", "rate": "0.001", "act": "relu"}
    assert set(record.files) == {
        "trial.json",
        "out_of_fold.npz",
        "confusion_matrix.csv",
        "model_summary.txt",
    }


def test_a_pruned_trial_is_a_killed_run():
    record = trial_record(TRIAL, TrialResult(TrialState.PRUNED, score=0.5))
    assert record.status == "KILLED"
    assert record.tags["ktune.state"] == "pruned"


def test_a_failed_trial_is_a_failed_run_with_its_traceback():
    failure = Failure("ValueError", "bad " * 5000, "Traceback ...")
    result = TrialResult(TrialState.FAILED, seconds=1.0, failure=failure)
    record = trial_record(TRIAL, result)
    assert record.status == "FAILED"
    assert record.files["traceback.txt"] == b"Traceback ..."
    assert record.tags["ktune.failure"].startswith("ValueError: bad bad")
    assert len(record.tags["ktune.failure"]) <= 5000
    assert {point.key for point in record.metrics} == {"fit_seconds", "epochs"}


def test_the_confusion_matrix_is_a_table_with_the_names_of_classes():
    record = trial_record(TRIAL, complete(), ["benign", 'so-called "bad", maybe'])
    text = record.files["confusion_matrix.csv"].decode()
    assert list(csv.reader(io.StringIO(text))) == [
        ["true \\ predicted", "benign", 'so-called "bad", maybe'],
        ["benign", "3", "1"],
        ['so-called "bad", maybe', "0", "4"],
    ]


def test_the_search_copies_the_fold_means_of_its_best_trial():
    found = {point.key: point.value for point in best_metrics(complete())}
    assert found["best_val_accuracy"] == pytest.approx(0.8)
    assert found["best_train_accuracy"] == pytest.approx(0.9)
    assert "best_val_accuracy_std" in found
    assert not any(key.startswith("best_fold") for key in found)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("units_0", "units_0"),
        ("block/units", "block/units"),
        ("learning rate", "learning rate"),
        ("units[0]", "units_0_"),
        ("größe", "gr__e"),
        ("a=b,c", "a_b_c"),
        ("/rate", "_/rate"),
        ("rate/", "rate/_"),
        ("a//b", "a/_/b"),
        ("../up", "__/up"),
        (".", "_"),
        ("a/./b", "a/_/b"),
        ("", "_"),
    ],
)
def test_names_of_params_are_converted_to_keys_mlflow_allows(name, key):
    assert params_of({name: 1}) == {key: "1"}


@given(st.text())
def test_mlflow_accepts_the_key_of_every_name(name):
    from mlflow.utils.validation import _validate_param_name

    (key,) = params_of({name: 1})
    _validate_param_name(key)


def test_names_with_the_same_key_are_both_kept():
    assert params_of({"a[0]": 1, "a(0)": 2, "a_0_": 3}) == {
        "a_0_": "3",
        "a_0__2": "1",
        "a_0__3": "2",
    }


def test_long_values_are_truncated_before_mlflow_does_it():
    assert len(params_of({"x": "y" * 10_000})["x"]) == 6000


def test_values_are_shown_on_one_line():
    text = values_text({"rate": 0.00123456, "units": 64, "act": "relu", "bias": True})
    assert text == "rate=0.001235, units=64, act=relu, bias=True"


def test_failures_that_differ_in_a_count_of_keras_have_the_same_reason():
    texts = [
        f"<Sequential name=sequential_{n}, built=False> has 3 rows" for n in (1, 12)
    ]
    first, second = (Failure("ValueError", text, "") for text in texts)
    assert first.reason == second.reason
    assert first.reason.endswith("has 3 rows")
