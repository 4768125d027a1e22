import keras_tuner
import pytest

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.experiment.experiment import Experiment
from ktune.metrics.objectives import (
    is_of_model,
    make_objective,
    objective_of_task,
    of_predictions,
)
from ktune.metrics.scores import Objective


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (keras_tuner.Objective("val_accuracy", "max"), Objective("accuracy", "max")),
        (keras_tuner.Objective("val_loss", "min"), Objective("loss", "min")),
        (keras_tuner.Objective("val_dice", "max"), Objective("dice", "max")),
        (("val_my_metric", "min"), Objective("my_metric", "min")),
        (["val_my_metric", "max"], Objective("my_metric", "max")),
        ("val_mean_io_u", Objective("mean_io_u", "max")),
        ("val_mape", Objective("mape", "min")),
        ("f1_score", Objective("f1_macro", "max")),
    ],
)
def test_an_objective_has_a_metric_and_a_direction(given, expected):
    assert make_objective(given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("val_dice", "('val_dice', 'max')"),
        ("acuracy", "Did you mean 'accuracy'"),
        (keras_tuner.Objective("val_accuracy", "min"), "better the larger"),
        (("n_parameters", "max"), "better the smaller"),
        (5, "keras_tuner.Objective"),
    ],
)
def test_an_objective_that_cannot_be_followed_is_explained(given, message):
    with pytest.raises(ExperimentError) as caught:
        make_objective(given)
    assert message in str(caught.value)


def test_metrics_of_the_model_are_not_scored_from_predictions():
    assert is_of_model("loss")
    assert is_of_model("dice")
    assert not is_of_model("n_parameters")
    assert of_predictions(("accuracy", "loss", "dice", "roc_auc")) == (
        "accuracy",
        "roc_auc",
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mask_io_u", Objective("mask_io_u", "max")),
        ("val_size_mae", Objective("size_mae", "min")),
        ("kind_loss", Objective("kind_loss", "min")),
        ("accuracy", Objective("accuracy", "max")),
        (("val_dice", "max"), Objective("dice", "max")),
        ("n_parameters", Objective("n_parameters", "min")),
    ],
)
def test_an_objective_of_a_custom_task_has_the_name_in_the_logs(given, expected):
    assert objective_of_task(given, Task.CUSTOM) == expected


def test_an_objective_of_a_custom_task_without_a_known_direction_is_explained():
    with pytest.raises(ExperimentError, match=r"objective=\('val_dice', 'max'\)"):
        objective_of_task("dice", Task.CUSTOM)


def test_a_metric_of_an_output_is_known_before_the_data_are():
    assert make_objective("mask_io_u") == Objective("mask_io_u", "max")
    with pytest.raises(ExperimentError, match="Did you mean 'balanced_accuracy'"):
        make_objective("blanced_accuracy")


def experiment(**fields):
    return Experiment(name="x", data=([[0.0]], [0]), build=print, **fields)


def test_an_experiment_takes_objectives_in_every_form():
    pair = ("val_dice", "max")
    assert experiment(objective=pair).objectives == (pair,)
    both = [keras_tuner.Objective("val_dice", "max"), "n_parameters"]
    assert experiment(objective=both).objectives == tuple(both)
    with pytest.raises(ExperimentError, match="something twice"):
        experiment(objective=["accuracy", keras_tuner.Objective("val_acc", "max")])
