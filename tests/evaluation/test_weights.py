"""Weights of rows and classes: in training by both trainers, in scores, in records."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from sklearn import metrics as sk

import ktune
from ktune.data import load_data
from ktune.data.dataset import Task
from ktune.errors import DataError, ExperimentError
from ktune.evaluation.evaluate import evaluate_trial
from ktune.experiment.experiment import Experiment
from ktune.experiment.fit_settings import make_fit_settings
from ktune.metrics.predictions import confusion_matrix
from ktune.metrics.scores import DEFAULT_METRICS, compute_metrics
from ktune.trial import Trial
from ktune.tuner.preflight import preflight
from ktune.tuner.warnings import warnings_for

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5)).astype(np.float32)
Y = (X[:, 0] > 1.2).astype(int)
W = np.where(Y, 5.0, 1.0)


def build(hp):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.05), loss="binary_crossentropy")
    return model


def run(data, trainer="auto", **fit):
    fit = {"epochs": 3, **fit}
    experiment = Experiment(
        name="weights", data=data, build=build, fit=fit, cv=2, trainer=trainer
    )
    ready = preflight(experiment)
    result = evaluate_trial(ready.context, Trial(0, ready.defaults, seed=1))
    assert result.failure is None, result.failure
    return ready, result


def predictions_of(result):
    import io

    with np.load(io.BytesIO(result.out_of_fold)) as arrays:
        return dict(arrays)


@pytest.mark.slow
def test_class_weights_and_row_weights_train_the_same_in_both_trainers():
    rows = predictions_of(run((X, Y, W), "graph")[1])["prediction"]
    classes = predictions_of(run((X, Y), "graph", class_weight={0: 1, 1: 5})[1])
    by_keras = predictions_of(run((X, Y, W), "keras_fit")[1])["prediction"]
    plain = predictions_of(run((X, Y), "graph")[1])["prediction"]
    np.testing.assert_allclose(rows, classes["prediction"], atol=2e-3)
    np.testing.assert_allclose(rows, by_keras, atol=2e-3)
    assert rows.astype(float).mean() > plain.mean() + 0.02


def test_scores_and_confusion_count_rows_by_their_weights():
    ready, result = run((X, Y, W))
    found = predictions_of(result)
    weights = ready.context.partition.weights[found["row"]]
    right = (found["prediction"] > 0.5) == found["target"]
    by_fold = [
        np.average(right[found["fold"] == k], weights=weights[found["fold"] == k])
        for k in (0, 1)
    ]
    assert result.mean("accuracy") == pytest.approx(np.mean(by_fold), abs=1e-6)
    share = np.array(result.confusion)[1].sum() / np.sum(result.confusion)
    assert share == pytest.approx(
        weights[found["target"] == 1].sum() / weights.sum(), abs=0.01
    )
    notes = list(warnings_for(ready.dataset, ready.context))
    assert any("Rows have weights (1 … 5)" in note for note in notes)
    assert not any("always guessing" in note for note in notes)


def test_own_weights_of_classes_and_of_rows_are_multiplied():
    twice = predictions_of(run((X, Y, W), class_weight={"1": 2.0})[1])["prediction"]
    once = predictions_of(run((X, Y, W * np.where(Y, 2, 1)))[1])["prediction"]
    np.testing.assert_allclose(twice, once, atol=2e-3)


def test_a_class_weight_of_an_unknown_class_is_explained():
    with pytest.raises(AssertionError, match="the classes are '0', '1'"):
        run((X, Y), class_weight={2: 5.0})


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"class_weight": {0: -1}}, "0 or more"),
        ({"class_weight": {}}, "0 or more"),
        ({"class_weight": 3}, "'balanced'"),
        ({"sample_weight": W}, r"data=\(X, y, weights\)"),
    ],
)
def test_bad_weights_in_fit_are_answered_with_the_right_form(fit, message):
    with pytest.raises(ExperimentError, match=message):
        make_fit_settings(fit)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (W[:10], r"\(300,\) is needed"),
        (-W, "0 or larger"),
        (np.full(300, np.nan), "0 or larger"),
        (np.zeros(300), "not all 0"),
        (["a"] * 300, "must be numbers"),
        ({"a": W, "b": W}, "weights for each output are not taken"),
    ],
)
def test_bad_weights_of_rows_are_explained(weights, message):
    with pytest.raises(DataError, match=message):
        load_data((X, Y, weights))


def test_a_column_of_a_table_is_the_weight_and_no_feature(tmp_path):
    frame = pd.DataFrame({"a": X[:, 0], "w": W, "y": Y})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.drop(columns="w").to_csv(tmp_path / "test.csv", index=False)
    table = ktune.data.table(frame, target="y", weights="w", test=frame).load()
    path = tmp_path / "rows.csv"
    file = ktune.data.csv(
        path, target="y", weights="w", test=tmp_path / "test.csv"
    ).load()
    for dataset in (table, file):
        assert dataset.feature_names == ("a",)
        np.testing.assert_array_equal(dataset.weights, W)
    assert table.weights_test is not None
    assert file.weights_test is None
    with pytest.raises(DataError, match="no column 'v'"):
        ktune.data.table(frame, target="y", weights="v").load()


def test_weights_are_part_of_the_digest_and_follow_their_rows_in_time():
    assert load_data((X, Y, W)).digest != load_data((X, Y)).digest
    times = np.arange(300)[::-1]
    dataset = ktune.data.arrays(X, Y, weights=W, times=times).load()
    np.testing.assert_array_equal(dataset.weights, W[::-1])


def test_weighted_scores_are_those_of_scikit_learn():
    shares = np.clip(0.5 + 0.3 * X[:, 0], 0.01, 0.99)
    names = (*DEFAULT_METRICS[Task.BINARY], "balanced_accuracy", "matthews_corrcoef")
    found = compute_metrics(names, Y, shares, Task.BINARY, W)
    labels = shares > 0.5
    given = {"sample_weight": W}
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(Y, labels, **given),
            "precision": sk.precision_score(Y, labels, **given),
            "recall": sk.recall_score(Y, labels, **given),
            "f1": sk.f1_score(Y, labels, **given),
            "log_loss": sk.log_loss(Y, shares, **given),
            "roc_auc": sk.roc_auc_score(Y, shares, **given),
            "balanced_accuracy": sk.balanced_accuracy_score(Y, labels, **given),
            "matthews_corrcoef": sk.matthews_corrcoef(Y, labels, **given),
        },
        rel=1e-5,
    )
    values = X[:, 1]
    found = compute_metrics(
        ("mae", "rmse", "r2"), values, values + X[:, 2], Task.REGRESSION, W
    )
    assert found == pytest.approx(
        {
            "mae": sk.mean_absolute_error(values, values + X[:, 2], **given),
            "rmse": sk.root_mean_squared_error(values, values + X[:, 2], **given),
            "r2": sk.r2_score(values, values + X[:, 2], **given),
        },
        rel=1e-5,
    )


@pytest.mark.parametrize("task", [task for task in Task if DEFAULT_METRICS[task]])
def test_equal_weights_give_the_scores_without_weights(task):
    rng = np.random.default_rng(1)
    y, predictions = {
        Task.BINARY: (Y, rng.random(300)),
        Task.MULTICLASS: (rng.integers(0, 3, 300), rng.dirichlet(np.ones(3), 300)),
        Task.MULTILABEL: (rng.integers(0, 2, (300, 3)), rng.random((300, 3))),
        Task.REGRESSION: (X[:, :2], X[:, 1:3]),
    }[task]
    names = DEFAULT_METRICS[task]
    found = compute_metrics(names, y, predictions, task, np.full(300, 3.0))
    assert found == pytest.approx(
        compute_metrics(names, y, predictions, task), rel=1e-5
    )


def test_a_weighted_confusion_matrix_has_as_many_rows_as_there_are():
    counts = confusion_matrix(Y, Y, 2, W)
    assert abs(counts.sum() - 300) <= 1


def test_a_pair_of_training_and_test_set_brings_the_weights_of_both():
    train, test = (X[:200], Y[:200], W[:200]), (X[200:], Y[200:], W[200:])
    for data, has_weights in (
        ((train, test), (True, True)),
        ((train, test[:2]), (True, False)),
        ((train[:2], test), (False, True)),
        ((train[:2], test[:2]), (False, False)),
    ):
        dataset = load_data(data)
        assert len(dataset.y_test) == 100
        found = (dataset.weights is not None, dataset.weights_test is not None)
        assert found == has_weights
    with pytest.raises(DataError, match=r"test set.*\(100,\) is needed"):
        load_data((train, (X[200:], Y[200:], W[:3])))


def test_three_inputs_and_three_outputs_of_the_same_rows_are_no_test_set():
    inputs, outputs = (X[:, :1], X[:, 1:2], X[:, 2:]), (Y, W, X[:, 0])
    dataset = load_data((inputs, outputs))
    assert dataset.x_test is None
    assert (dataset.task, len(dataset.x)) == (Task.CUSTOM, 3)
