import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.metrics.objectives import make_objective
from ktune.metrics.predictions import confusion_matrix, predicted_classes
from ktune.metrics.scores import (
    DEFAULT_METRICS,
    LOSS,
    canonical_name,
    compute_metrics,
    curve_metrics,
    known_metrics,
    metrics_of_task,
)

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(2, 40)


def probabilities(rng, *shape):
    """Away from 0 and 1, where clipping decides about the log loss."""
    return rng.uniform(0.01, 0.99, shape).astype(np.float32)


def distributions(rng, n, k):
    rows = probabilities(rng, n, k)
    return rows / rows.sum(axis=1, keepdims=True)


def one(name, y, predictions, task):
    return compute_metrics((name,), y, predictions, task)[name]


def close(value):
    return pytest.approx(value, rel=1e-5, abs=1e-6)


@given(SEEDS, SIZES)
def test_binary_metrics_equal_those_of_scikit_learn(seed, n):
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, n), probabilities(rng, n)
    labels = (p > 0.5).astype(int)
    found = compute_metrics(curve_metrics(Task.BINARY, BINARY), y, p, Task.BINARY)
    assert found == {
        "accuracy": close(sk.accuracy_score(y, labels)),
        "precision": close(sk.precision_score(y, labels, zero_division=0)),
        "recall": close(sk.recall_score(y, labels, zero_division=0)),
        "f1": close(sk.f1_score(y, labels, zero_division=0)),
        "log_loss": close(sk.log_loss(y, p, labels=[0, 1])),
    }


BINARY = DEFAULT_METRICS[Task.BINARY]


@given(SEEDS, SIZES, st.integers(3, 6))
def test_multiclass_metrics_equal_those_of_scikit_learn(seed, n, k):
    rng = np.random.default_rng(seed)
    p = distributions(rng, n, k)
    y = rng.integers(0, rng.integers(2, k + 1), n)  # some classes may be absent
    labels = p.argmax(axis=1)
    names = (*DEFAULT_METRICS[Task.MULTICLASS], "balanced_accuracy")
    wanted = curve_metrics(Task.MULTICLASS, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, about absent classes
        macro = {"average": "macro", "zero_division": 0}
        expected = {
            "accuracy": close(sk.accuracy_score(y, labels)),
            "precision_macro": close(sk.precision_score(y, labels, **macro)),
            "recall_macro": close(sk.recall_score(y, labels, **macro)),
            "f1_macro": close(sk.f1_score(y, labels, **macro)),
            "balanced_accuracy": close(sk.balanced_accuracy_score(y, labels)),
            "log_loss": close(sk.log_loss(y, p, labels=range(k))),
        }
    assert compute_metrics(wanted, y, p, Task.MULTICLASS) == expected


@given(SEEDS, SIZES, st.integers(2, 5))
def test_multilabel_metrics_equal_those_of_scikit_learn(seed, n, k):
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, (n, k)), probabilities(rng, n, k)
    labels = (p > 0.5).astype(int)
    macro = {"average": "macro", "zero_division": 0}
    by_label = [sk.log_loss(y[:, i], p[:, i], labels=[0, 1]) for i in range(k)]
    names = DEFAULT_METRICS[Task.MULTILABEL]
    assert compute_metrics(names, y, p, Task.MULTILABEL) == {
        "accuracy": close(sk.accuracy_score(y, labels)),
        "precision_macro": close(sk.precision_score(y, labels, **macro)),
        "recall_macro": close(sk.recall_score(y, labels, **macro)),
        "f1_macro": close(sk.f1_score(y, labels, **macro)),
        "log_loss": close(np.mean(by_label)),
    }


@given(SEEDS, SIZES, st.sampled_from([(), (1,), (3,)]))
def test_regression_metrics_equal_those_of_scikit_learn(seed, n, columns):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, *columns)).astype(np.float32)
    p = rng.normal(size=(n, *columns)).astype(np.float32)
    found = compute_metrics(("mae", "mse", "rmse", "r2"), y, p, Task.REGRESSION)
    flat_y, flat_p = y.astype(float).reshape(n, -1), p.astype(float).reshape(n, -1)
    mse = sk.mean_squared_error(flat_y, flat_p)
    assert found == {
        "mae": close(sk.mean_absolute_error(flat_y, flat_p)),
        "mse": close(mse),
        "rmse": close(math.sqrt(mse)),
        "r2": close(sk.r2_score(flat_y, flat_p)),
    }


@given(SEEDS, SIZES, st.integers(2, 5))
def test_confusion_matrix_equals_that_of_scikit_learn(seed, n, k):
    rng = np.random.default_rng(seed)
    y, predicted = rng.integers(0, k, n), rng.integers(0, k, n)
    expected = sk.confusion_matrix(y, predicted, labels=range(k))
    assert confusion_matrix(y, predicted, k).tolist() == expected.tolist()


def test_a_class_that_is_never_predicted_has_precision_zero():
    y, p = np.array([0, 1, 1]), np.array([0.1, 0.2, 0.3], dtype=np.float32)
    found = compute_metrics(("precision", "recall", "f1"), y, p, Task.BINARY)
    assert found == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_half_a_probability_is_not_yet_the_positive_class():
    halves = np.array([0.5, 0.51], dtype=np.float32)
    assert predicted_classes(halves, Task.BINARY).tolist() == [0, 1]


def test_certain_and_wrong_predictions_have_a_finite_log_loss():
    y, p = np.array([0, 1]), np.array([1.0, 0.0], dtype=np.float32)
    assert 10 < one("log_loss", y, p, Task.BINARY) < 20


@pytest.mark.parametrize("task", [task for task in Task if DEFAULT_METRICS[task]])
def test_every_default_metric_of_a_task_has_a_value(task):
    y, p = EXAMPLES[task]
    found = compute_metrics(DEFAULT_METRICS[task], y, p, task)
    assert tuple(found) == DEFAULT_METRICS[task]
    assert all(math.isfinite(value) for value in found.values())


def examples():
    rng = np.random.default_rng(0)
    two = rng.integers(0, 2, (40, 2))
    return {
        Task.BINARY: (two[:, 0], probabilities(rng, 40)),
        Task.MULTICLASS: (np.arange(40) % 3, distributions(rng, 40, 3)),
        Task.MULTILABEL: (two, probabilities(rng, 40, 2)),
        Task.REGRESSION: (
            rng.uniform(1, 2, 40).astype(np.float32),
            rng.uniform(1, 2, 40).astype(np.float32),
        ),
    }


EXAMPLES = examples()


@pytest.mark.parametrize(
    ("name", "task", "score"),
    [
        ("average_precision", Task.BINARY, sk.average_precision_score),
        ("roc_auc", Task.BINARY, sk.roc_auc_score),
        ("neg_brier_score", Task.BINARY, lambda y, p: -sk.brier_score_loss(y, p)),
        ("neg_log_loss", Task.BINARY, lambda y, p: -sk.log_loss(y, p)),
        (
            "matthews_corrcoef",
            Task.BINARY,
            lambda y, p: sk.matthews_corrcoef(y, p > 0.5),
        ),
        (
            "balanced_accuracy",
            Task.BINARY,
            lambda y, p: sk.balanced_accuracy_score(y, p > 0.5),
        ),
        (
            "roc_auc_ovr",
            Task.MULTICLASS,
            lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr"),
        ),
        ("neg_log_loss", Task.MULTICLASS, lambda y, p: -sk.log_loss(y, p)),
        ("top_k_accuracy", Task.MULTICLASS, sk.top_k_accuracy_score),
        (
            "f1_weighted",
            Task.MULTICLASS,
            lambda y, p: sk.f1_score(y, p.argmax(1), average="weighted"),
        ),
        ("roc_auc", Task.MULTILABEL, sk.roc_auc_score),
        ("average_precision", Task.MULTILABEL, sk.average_precision_score),
        (
            "f1_samples",
            Task.MULTILABEL,
            lambda y, p: sk.f1_score(y, p > 0.5, average="samples", zero_division=0),
        ),
        ("explained_variance", Task.REGRESSION, sk.explained_variance_score),
        ("neg_max_error", Task.REGRESSION, lambda y, p: -sk.max_error(y, p)),
        (
            "neg_mean_poisson_deviance",
            Task.REGRESSION,
            lambda y, p: -sk.mean_poisson_deviance(y, p),
        ),
    ],
)
def test_any_scorer_of_scikit_learn_can_be_asked_for(name, task, score):
    y, p = EXAMPLES[task]
    rows = p.astype(float)
    if task is Task.MULTICLASS:
        rows /= rows.sum(axis=1, keepdims=True)
    assert one(name, y, p, task) == close(score(y, rows))


@pytest.mark.parametrize("task", [task for task in Task if DEFAULT_METRICS[task]])
def test_every_known_metric_has_a_value_or_is_said_not_to_fit(task):
    y, p = EXAMPLES[task]
    names = sorted(set(known_metrics()) - {LOSS})
    found = [value_or_problem(name, y, p, task) for name in names]
    assert all(isinstance(answer, float | str) for answer in found)
    assert sum(isinstance(answer, float) for answer in found) >= 15


def value_or_problem(name, y, predictions, task):
    try:
        return one(name, y, predictions, task)
    except ExperimentError as error:
        return str(error)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("accuracy", Task.REGRESSION),
        ("roc_auc", Task.REGRESSION),
        ("neg_log_loss", Task.REGRESSION),
        ("f1", Task.MULTICLASS),
        ("roc_auc", Task.MULTICLASS),
        ("mae", Task.BINARY),
        ("balanced_accuracy", Task.MULTILABEL),
        ("neg_max_error", Task.MULTILABEL),
    ],
)
def test_a_metric_that_does_not_fit_the_task_is_an_error(name, task):
    y, p = EXAMPLES[task]
    message = f"metric '{name}' cannot score a {task} task"
    with pytest.raises(ExperimentError, match=message):
        one(name, y, p, task)


@pytest.mark.parametrize(
    "name", ["roc_auc_ovr", "roc_auc_ovo", "average_precision", "top_k_accuracy"]
)
def test_a_metric_of_all_classes_is_nan_where_one_is_absent(name):
    p = distributions(np.random.default_rng(0), 12, 4)
    assert math.isnan(one(name, np.arange(12) % 3, p, Task.MULTICLASS))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "matthews_corrcoef"])
def test_a_metric_of_two_classes_is_nan_where_there_is_one(name):
    p = probabilities(np.random.default_rng(0), 5)
    assert math.isnan(one(name, np.zeros(5, int), p, Task.BINARY))


def test_roc_auc_of_labels_is_nan_where_a_label_is_always_absent():
    y = np.array([[0, 0], [1, 0], [0, 0], [1, 0]])
    p = probabilities(np.random.default_rng(0), 4, 2)
    assert math.isnan(one("roc_auc", y, p, Task.MULTILABEL))


def test_a_logarithmic_error_is_nan_for_negative_predictions():
    y = np.array([1.0, 2.0], dtype=np.float32)
    name = "neg_mean_squared_log_error"
    assert math.isnan(one(name, y, -2 * y, Task.REGRESSION))
    assert one(name, y, y, Task.REGRESSION) == 0


@pytest.mark.parametrize("constant", [0.0, 0.1, 3.3])
def test_r2_of_a_constant_target_is_nan(constant):
    y = np.full(7, constant, dtype=np.float32)
    p = np.linspace(0, 1, 7, dtype=np.float32)
    assert math.isnan(one("r2", y, p, Task.REGRESSION))


def test_scoring_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for task, (y, p) in EXAMPLES.items():
            few = slice(0, 3)  # rows of few classes make scikit-learn warn
            names = DEFAULT_METRICS[task]
            compute_metrics((*names, *MORE[task]), y[few], p[few], task)


MORE = {
    Task.BINARY: ("average_precision", "precision_weighted", "jaccard"),
    Task.MULTICLASS: ("precision_weighted", "jaccard_macro", "balanced_accuracy"),
    Task.MULTILABEL: ("f1_samples", "roc_auc", "average_precision"),
    Task.REGRESSION: ("explained_variance",),
}


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("accuracy", "accuracy"),
        ("val_accuracy", "accuracy"),
        ("val_acc", "accuracy"),
        ("acc", "accuracy"),
        ("sparse_categorical_accuracy", "accuracy"),
        ("val_binary_accuracy", "accuracy"),
        ("auc", "roc_auc"),
        ("val_loss", "loss"),
        ("f1_score", "f1_macro"),
        ("mean_absolute_error", "mae"),
        ("root_mean_squared_error", "rmse"),
        ("r2_score", "r2"),
        ("neg_log_loss", "neg_log_loss"),
    ],
)
def test_metrics_have_one_name_however_they_are_written(given_name, expected):
    assert canonical_name(given_name) == expected


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("val_acuracy", "'val_accuracy'"),
        ("acuracy", "'accuracy'"),
        ("f1_makro", "'f1_macro'"),
        ("rocauc", "'roc_auc'"),
        ("rsme", "'rmse'"),
    ],
)
def test_a_misspelt_metric_is_answered_with_the_nearest_one(word, nearest):
    with pytest.raises(ExperimentError) as raised:
        canonical_name(word)
    assert str(raised.value).startswith(f"{word!r} is not a metric. Known: loss, acc")
    assert str(raised.value).endswith(f" Did you mean {nearest}?")


@pytest.mark.parametrize("name", ["loss", "log_loss", "mae", "mse", "rmse", "val_loss"])
def test_errors_are_minimised(name):
    objective = make_objective(name)
    assert objective.direction == "min"
    assert objective.is_better(0.1, than=0.2)
    assert objective.is_better(1e9, than=objective.worst)


@pytest.mark.parametrize("name", ["accuracy", "r2", "neg_log_loss", "neg_max_error"])
def test_scores_are_maximised(name):
    objective = make_objective(name)
    assert objective.direction == "max"
    assert objective.is_better(0.2, than=0.1)
    assert not objective.is_better(0.2, than=0.2)
    assert objective.is_better(-1e9, than=objective.worst)


def test_further_metrics_come_after_the_defaults_once():
    names = metrics_of_task(Task.REGRESSION, ("r2", "neg_max_error"))
    assert names == ("mae", "rmse", "r2", "neg_max_error")


def test_metrics_of_every_epoch_are_the_cheap_ones_asked_for():
    wanted = ("roc_auc", "f1", "accuracy")
    assert curve_metrics(Task.BINARY, wanted) == ("f1", "accuracy")


@pytest.mark.parametrize("name", sk.get_scorer_names())
def test_every_scorer_of_scikit_learn_scores_a_task_or_says_that_it_cannot(name):
    rng = np.random.default_rng(0)
    rows = {
        Task.BINARY: (np.arange(60) % 2, rng.uniform(0, 1, 60)),
        Task.MULTICLASS: (np.arange(60) % 3, rng.dirichlet(np.ones(3), 60)),
        Task.MULTILABEL: (rng.integers(0, 2, (60, 3)), rng.uniform(0, 1, (60, 3))),
        Task.REGRESSION: (rng.uniform(1, 2, 60), rng.uniform(1, 2, 60)),
    }
    scored = 0
    for task, (y, predictions) in rows.items():
        try:
            value = compute_metrics((name,), y, predictions, task)[name]
        except ExperimentError:
            continue
        assert np.isfinite(value), task
        scored += 1
    assert scored
