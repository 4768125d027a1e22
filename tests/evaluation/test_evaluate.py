import io
import pickle
import time
from dataclasses import replace

import numpy as np
import pytest

from ktune.data.dataset import Dataset, Kind, Task
from ktune.data.folds import split
from ktune.errors import ExperimentError, TrialFailed
from ktune.evaluation.context import make_context
from ktune.evaluation.evaluate import evaluate_trial
from ktune.experiment.experiment import Experiment
from ktune.testing.fakes import FakeModel, FakeTrainer, make_trial
from ktune.trial import Trial, TrialState
from ktune.utils.seeds import derive_seed

N_FOLDS = 2
RISING = [(0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9)]


def make_bench(*, build=lambda hp: FakeModel(), cv=N_FOLDS, **fields):
    y = np.array([0, 1] * 20)
    data = Dataset("rows", np.arange(80.0).reshape(40, 2), y, Task.BINARY, Kind.TABULAR)
    data = Dataset(**{**vars(data), "class_names": ("no", "yes")})
    fields = {"fit": {"epochs": 4, "early_stopping": False}, **fields}
    experiment = Experiment(name="x", data=(data.x, y), build=build, cv=cv, **fields)
    return make_context(experiment, data, split(data, cv=cv, test_size=0.0, seed=0))


@pytest.fixture
def train_with(monkeypatch):
    """Have trials trained by a fake that follows a script."""

    def use(script, **more):
        trainer = FakeTrainer(script, **more)
        monkeypatch.setattr(
            "ktune.evaluation.evaluate.choose_trainer", lambda name, task: trainer
        )
        return trainer

    return use


def evaluate(trial=None, report=lambda _: True, **fields):
    return evaluate_trial(make_bench(**fields), trial or make_trial(0), report)


def test_a_trial_is_judged_by_the_fold_mean_at_its_best_epoch(train_with):
    train_with([(0.5, 0.6), (0.9, 0.8), (0.6, 0.6), (0.7, 0.7)])
    result = evaluate(fit={"epochs": 4, "early_stopping": 4})
    assert result.state is TrialState.COMPLETE
    assert result.score == pytest.approx(0.85)
    assert (result.best_epoch, result.epochs) == (1, 4)
    assert result.score == pytest.approx(result.mean("accuracy"))
    assert [fold.validation["accuracy"] for fold in result.folds] == [0.9, 0.8]


def test_the_last_epoch_counts_without_early_stopping(train_with):
    train_with([(0.9, 0.9), (0.5, 0.5)])
    result = evaluate(fit={"epochs": 2, "early_stopping": False})
    assert (result.score, result.best_epoch) == (pytest.approx(0.5), 1)


def test_early_stopping_waits_for_the_mean_and_not_for_a_fold(train_with):
    """The first fold gets better all the time, the mean only once."""
    trainer = train_with([(0.5, 0.5), (0.6, 0.5), (0.7, 0.4), (0.8, 0.3), (0.9, 0.1)])
    result = evaluate(fit={"epochs": 20, "early_stopping": 2})
    assert (result.best_epoch, result.epochs) == (1, 4)
    assert trainer.trainings[0].n_epochs == 4


def test_a_trial_stopped_by_a_report_is_pruned_and_keeps_its_scores(train_with):
    train_with(RISING)
    seen = []

    def report(epoch_report):
        seen.append(epoch_report)
        return epoch_report.epoch < 1

    result = evaluate(make_trial(3), report)
    assert result.state is TrialState.PRUNED
    assert (result.score, result.epochs) == (pytest.approx(0.65), 2)
    assert [r.value for r in seen] == pytest.approx([0.55, 0.65])
    assert [(r.trial_number, r.epoch, r.epochs) for r in seen] == [(3, 0, 4), (3, 1, 4)]


def test_a_trial_is_not_pruned_by_the_report_of_its_last_epoch(train_with):
    train_with(RISING)
    result = evaluate(report=lambda r: r.epoch < 3)
    assert (result.state, result.epochs) == (TrialState.COMPLETE, 4)


def test_the_searcher_may_set_the_number_of_epochs(train_with):
    trainer = train_with(RISING)
    result = evaluate(Trial(0, {}, seed=1, epochs=2))
    assert result.epochs == 2
    assert trainer.tasks[0].settings.epochs == 2


def test_a_callback_may_stop_a_trial(train_with):
    train_with(RISING, stops_after=3)
    result = evaluate()
    assert (result.state, result.epochs) == (TrialState.COMPLETE, 3)


@pytest.mark.parametrize("epoch", [0, 2])
def test_an_exception_is_a_failure_with_its_traceback(train_with, epoch):
    trainer = train_with([*RISING[:epoch], ZeroDivisionError("in epoch")])
    result = evaluate()
    assert result.state is TrialState.FAILED
    assert result.score is None
    assert result.failure.kind == "ZeroDivisionError"
    assert result.failure.message == "in epoch"
    assert "fakes.py" in result.failure.traceback
    assert trainer.trainings[0].n_closed == 1


def test_a_verdict_of_ours_needs_no_traceback(train_with):
    train_with([TrialFailed("the loss is nan")])
    failure = evaluate().failure
    assert (failure.kind, failure.message) == ("TrialFailed", "the loss is nan")
    assert failure.traceback == ""


def test_a_builder_that_raises_fails_the_trial():
    def build(hp):
        raise ArithmeticError("too large")

    result = evaluate(build=build, trainer="keras_fit")
    assert (result.state, result.failure.kind) == (TrialState.FAILED, "ArithmeticError")
    assert "test_evaluate.py" in result.failure.traceback


def test_bad_fit_settings_fail_the_trial(train_with):
    train_with(RISING)
    result = evaluate(fit=lambda hp: {"epochs": 0})
    assert result.failure.kind == "ExperimentError"
    assert "'epochs' must be an int of at least 1" in result.failure.message


def test_ctrl_c_is_no_failure_but_ends_the_search(train_with):
    trainer = train_with([RISING[0], KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        evaluate()
    assert trainer.trainings[0].n_closed == 1


@pytest.mark.parametrize(
    ("script", "may_go_on"),
    [(RISING, True), (RISING, False), ([ValueError()], True)],
)
def test_a_training_is_closed_however_it_ends(train_with, script, may_go_on):
    trainer = train_with(script)
    evaluate(report=lambda _: may_go_on)
    assert [training.n_closed for training in trainer.trainings] == [1]


def test_seeds_depend_on_trial_and_fold_alone(train_with):
    trainer = train_with(RISING)
    evaluate(Trial(0, {}, seed=5))
    evaluate(Trial(9, {"units": 3}, seed=5))
    evaluate(Trial(0, {}, seed=6), cv=3)
    first, same, other = (tuple(task.seeds) for task in trainer.tasks)
    assert first == same == tuple(derive_seed(5, fold) for fold in range(N_FOLDS))
    assert not set(first) & set(other)


def test_build_and_fit_get_the_values_of_the_trial(train_with):
    asked = []

    def build(hp):
        asked.append(hp.Int("units", 1, 9))
        return FakeModel()

    trainer = train_with(RISING)
    evaluate(
        make_trial(0, {"units": 7, "size": 16}),
        build=build,
        fit=lambda hp: {"batch_size": hp.Choice("size", [8, 16]), "epochs": 1},
    )
    task = trainer.tasks[0]
    assert task.settings.batch_size == 16
    assert isinstance(task.build(), FakeModel)
    assert asked == [7]


def test_a_result_holds_what_is_recorded_of_a_trial(train_with):
    train_with(RISING)
    result = evaluate(metrics=["balanced_accuracy"])
    assert (result.trainer, result.n_parameters, result.summary) == (
        "fake",
        42,
        "a fake",
    )
    assert result.seconds > 0
    assert len(result.curves["val_accuracy"]) == N_FOLDS
    assert len(result.curves["val_accuracy"][0]) == 4
    names = set(result.folds[0].validation)
    assert names >= {"loss", "accuracy", "f1", "roc_auc", "balanced_accuracy"}
    assert np.sum(result.confusion) == 40
    assert np.trace(result.confusion) == pytest.approx(40 * result.score)


def test_out_of_fold_predictions_cover_every_row_once(train_with):
    train_with(RISING)
    packed = np.load(io.BytesIO(evaluate().out_of_fold))
    assert sorted(packed["row"]) == list(range(40))
    assert packed["target"].tolist() == [row % 2 for row in packed["row"]]
    assert set(packed["fold"]) == {0, 1}
    is_right = (packed["prediction"] > 0.5) == (packed["target"] == 1)
    assert is_right.mean() == pytest.approx(0.85)


def test_results_travel_to_other_processes(train_with):
    train_with(RISING)
    result = evaluate()
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize(
    ("objective", "metric"), [(None, "accuracy"), ("val_loss", "loss")]
)
def test_trials_are_judged_by_the_objective(train_with, objective, metric):
    train_with([(0.5, 0.5), (0.9, 0.9)])
    result = evaluate(objective=objective, fit={"epochs": 2, "early_stopping": 1})
    assert result.best_epoch == 1
    assert result.score == pytest.approx(result.mean(metric))


def test_further_metrics_must_be_known():
    with pytest.raises(ExperimentError, match="Did you mean 'roc_auc'"):
        make_bench(metrics=["rocauc"])


def test_the_objective_is_recorded_too():
    context = make_bench(objective="average_precision")
    assert "average_precision" not in context.metrics
    assert context.recorded_metrics == (*context.metrics, "average_precision")


def test_a_builder_may_take_the_description_of_the_data():
    def build(hp, data):
        assert (data.task, data.input_shape, data.n_outputs) == ("binary", (2,), 2)
        assert (data.n_rows, data.class_names) == (40, ("no", "yes"))
        return FakeModel()

    assert isinstance(make_bench(build=build).builder.model({}), FakeModel)


class HyperModelLike:
    def build(self, hp):
        return FakeModel()


def test_a_builder_may_be_a_hypermodel():
    context = make_bench(build=HyperModelLike())
    assert isinstance(context.builder.model({}), FakeModel)


class ModelOfValues(FakeModel):
    """Like a `keras.Model` of the user, made from ``hp``; it has a `build` as well."""

    def __init__(self, hp):
        self.units = hp.Int("units", 1, 9)

    def build(self, input_shape):
        raise AssertionError("this builds weights, not models")


def test_a_builder_may_be_a_class_of_models():
    context = make_bench(build=ModelOfValues)
    assert context.builder.model({"units": 4}).units == 4


def test_a_builder_that_returns_no_model_is_an_error():
    with pytest.raises(ExperimentError, match=r"must return a Keras model.*None"):
        make_bench(build=lambda hp: None).builder.model({})


def test_training_rows_are_resampled_and_scored_rows_are_not(monkeypatch):
    seen = []

    def choose(name, task):
        seen.append(task)
        return FakeTrainer(RISING)

    monkeypatch.setattr("ktune.evaluation.evaluate.choose_trainer", choose)
    context = make_bench(
        fit=lambda hp: {
            "epochs": 1,
            "resample": hp.Choice("resample", ["none", "over"]),
        }
    )
    for how in ("none", "over"):
        evaluate_trial(context, Trial(0, {"resample": how}, seed=1))
    # Two classes of 20 rows are even; leave most of one out and try again.
    fold = replace(context.folds[0], train=context.folds[0].train[::2])
    rare = replace(fold, train=fold.train[fold.y[fold.train] == 0])
    rare = replace(rare, train=np.append(rare.train, fold.train[:1] * 0 + 1))
    uneven = replace(context, folds=(rare, context.folds[1]))
    evaluate_trial(uneven, Trial(0, {"resample": "over"}, seed=1))
    counts = np.bincount(rare.y[seen[-1].folds[0].train])
    assert counts[0] == counts[1] == np.sum(rare.y[rare.train] == 0) > 1
    assert seen[-1].folds[0].validation is rare.validation
    assert seen[0].folds[0] is context.folds[0]


class SizedModel(FakeModel):
    """A model of a thousand weights that takes its time."""

    built = False

    def __call__(self, row):
        self.built = True

    def count_params(self):
        assert self.built
        return 1000

    def predict_on_batch(self, row):
        assert len(row) == 1
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_parameters": 999}, "more than max_parameters=999"),
        ({"max_latency_ms": 0.5}, "slower than max_latency_ms=0.5"),
    ],
)
def test_a_model_above_a_limit_is_not_trained(train_with, limit, message):
    trainer = train_with(RISING)
    result = evaluate(build=lambda hp: SizedModel(), **limit)
    assert result.state is TrialState.FAILED
    assert result.failure.kind == "ConstraintViolated"
    assert result.failure.message == message
    assert not trainer.tasks


def test_a_model_within_the_limits_is_trained_and_its_latency_kept(train_with):
    train_with(RISING)
    limits = {"max_parameters": 1000, "max_latency_ms": 1000}
    result = evaluate(build=lambda hp: SizedModel(), **limits)
    assert result.state is TrialState.COMPLETE
    assert 1 <= result.latency_ms <= 1000
    assert result.scores == ()


def test_several_objectives_are_read_at_the_best_epoch_of_the_first(train_with):
    train_with([(0.5, 0.6), (0.9, 0.8), (0.6, 0.6)])
    objective = ["accuracy", "recall", "n_parameters", "latency_ms"]
    result = evaluate(
        build=lambda hp: SizedModel(),
        objective=objective,
        fit={"epochs": 3, "early_stopping": 3},
    )
    recall, n_parameters = result.mean("recall"), result.n_parameters
    assert result.scores == (result.score, recall, n_parameters, result.latency_ms)
    assert result.best_epoch == 1
    assert result.latency_ms >= 1


class Cramped:
    """A trainer that has memory for batches up to a size only."""

    name = "cramped"

    def __init__(self, most_rows):
        self.most_rows = most_rows
        self.batch_sizes = []

    def start(self, task):
        self.batch_sizes.append(task.settings.batch_size)
        if task.settings.batch_size > self.most_rows:
            raise MemoryError(f"{len(self.batch_sizes)} bytes")
        return FakeTrainer(RISING).start(task)


@pytest.fixture
def cramped(monkeypatch):
    def use(most_rows):
        trainer = Cramped(most_rows)
        monkeypatch.setattr(
            "ktune.evaluation.evaluate.choose_trainer", lambda *_: trainer
        )
        return trainer

    return use


def test_running_out_of_memory_fails_a_trial_in_the_same_words_each_time(cramped):
    trainer = cramped(0)
    failures = [evaluate().failure for _ in range(2)]
    assert {f.reason for f in failures} == {
        "OutOfMemory: there was not enough memory to train it"
    }
    assert "MemoryError: 2 bytes" in failures[1].traceback
    assert trainer.batch_sizes == [32, 32]


def test_out_of_memory_is_tried_once_more_with_half_the_batch_if_asked(cramped):
    trainer = cramped(16)
    result = evaluate(retry_half_batch=True)
    assert (result.state, result.batch_size) == (TrialState.COMPLETE, 16)
    assert trainer.batch_sizes == [32, 16]
    again = evaluate(replace(make_trial(0), batch_size=16), retry_half_batch=True)
    assert trainer.batch_sizes == [32, 16, 16]
    assert again.score == result.score


def test_there_is_one_such_retry_only(cramped):
    trainer = cramped(4)
    result = evaluate(retry_half_batch=True)
    assert result.failure.kind == "OutOfMemory"
    assert trainer.batch_sizes == [32, 16]


def test_a_model_that_cannot_fit_is_not_trained(train_with, monkeypatch):
    trainer = train_with(RISING)
    monkeypatch.setattr(
        "ktune.evaluation.model_builder.available_bytes", lambda: 1000.0
    )

    class Big(FakeModel):
        built = True

        def count_params(self):
            return 10**6

    monkeypatch.setattr(
        FakeTrainer, "start", lambda self, task: task.build() and pytest.fail("built")
    )
    result = evaluate(build=lambda hp: Big())
    assert result.failure.reason == (
        "OutOfMemory: training it takes more memory than is free here"
    )
    assert "GiB are needed" in result.failure.traceback
    assert trainer.trainings == []
