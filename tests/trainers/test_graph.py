"""graph: the contract, what else must agree with Keras, and when it hands over."""

import dataclasses
import gc
import itertools
import logging
import os
import weakref

import numpy as np
import pytest

from ktune.utils.runtime import import_keras

import_keras()

import keras  # noqa: E402
from tensorflow.core.protobuf.config_pb2 import ConfigProto  # noqa: E402
from tensorflow.core.protobuf.rewriter_config_pb2 import (  # noqa: E402
    RewriterConfig,
)

import ktune.trainers  # noqa: E402
from ktune.errors import ExperimentError  # noqa: E402
from ktune.experiment.fit_settings import FitSettings  # noqa: E402
from ktune.testing.trainers import (  # noqa: E402
    ARCHITECTURES,
    TrainerContract,
    assert_close,
    assert_same,
    build_mlp,
    build_random,
    compiled,
    make_task,
    only,
    plain_fit,
)
from ktune.trainers import choose_trainer  # noqa: E402
from ktune.trainers.graph import limits as graph_limits  # noqa: E402
from ktune.trainers.graph import program_cache  # noqa: E402
from ktune.trainers.graph.device_data import DeviceArrays  # noqa: E402
from ktune.trainers.graph.structure import structure_key  # noqa: E402
from ktune.trainers.graph.trainer import GraphTrainer  # noqa: E402

layers, optimizers = keras.layers, keras.optimizers


class TestGraph(TrainerContract):
    def make_trainer(self):
        return GraphTrainer()

    def test_many_folds_together_equal_folds_alone(self):
        """Also where vector instructions span folds."""
        task = make_task(build_random, (6,), n_folds=7)
        _, together = self._train(task, 2)
        for index in (0, 6):
            _, scores = self._train(only(task, index), 2)
            assert_same(together[-1][index], scores[-1][0])


def dense(optimizer=None, **options):
    return compiled([layers.Dense(5, activation="tanh", **options)], (6,), optimizer)


def dense_of(activation):
    return compiled([layers.Dense(4, activation=activation)], (6,))


SCHEDULE = optimizers.schedules.CosineDecay(0.0, 30, warmup_target=0.05, warmup_steps=5)
OPTIMIZERS = {
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "adam_amsgrad_clipnorm": lambda: optimizers.Adam(amsgrad=True, clipnorm=0.1),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "adamax": lambda: optimizers.Adamax(0.01),
    "lion": lambda: optimizers.Lion(0.001),
    "rmsprop_centered": lambda: optimizers.RMSprop(0.01, centered=True, momentum=0.5),
    "sgd_nesterov_clipvalue": lambda: optimizers.SGD(
        0.05, momentum=0.9, nesterov=True, clipvalue=0.01
    ),
    "sgd_decay_global_clipnorm": lambda: optimizers.SGD(
        0.1, weight_decay=0.01, global_clipnorm=0.1
    ),
    "adam_schedule": lambda: optimizers.Adam(SCHEDULE),
}


FUSED = {
    "adam_clipnorm": lambda: optimizers.Adam(0.01, beta_1=0.8, clipnorm=0.05),
    "adamw": OPTIMIZERS["adamw"],
    "rmsprop": lambda: optimizers.RMSprop(0.01),
    "rmsprop_momentum": lambda: optimizers.RMSprop(0.01, rho=0.8, momentum=0.5),
    "sgd": lambda: optimizers.SGD(0.1, global_clipnorm=0.05),
    "sgd_nesterov_clipvalue": OPTIMIZERS["sgd_nesterov_clipvalue"],
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_agree_with_plain_fit(name):
    agree(lambda: dense(OPTIMIZERS[name]()))


@pytest.mark.parametrize("name", FUSED)
def test_fused_optimizers_agree_with_plain_fit(name, monkeypatch):
    monkeypatch.setattr(program_cache, "LIGHT_BELOW", 0)
    agree(lambda: dense(FUSED[name]()))


def test_heavy_fold_in_threads_equals_fold_alone(monkeypatch):
    monkeypatch.setattr(program_cache, "LIGHT_BELOW", 0)
    TestGraph().test_fold_among_others_equals_fold_alone("cnn")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "random",
        pytest.param(
            "augmented",
            marks=pytest.mark.skipif(
                not os.environ.get("KTUNE_LONG_TESTS"),
                reason="half a minute more: set KTUNE_LONG_TESTS=1 to run it",
            ),
        ),
    ],
)
def test_random_layers_score_alike_over_twenty_seeds(name):
    build, shape = ARCHITECTURES[name]
    task = make_task(build, shape)
    fold, epochs, seeds = task.folds[1], 3, range(20)
    found = []
    for some in np.array_split(seeds, 4):  # one program serves them all
        trained = GraphTrainer().start(
            dataclasses.replace(task, folds=[fold] * 5, seeds=some.tolist())
        )
        for _ in range(epochs):
            scores = trained.run_epoch()
        found += [score.validation_loss for score in scores]
    expected = plain_losses(dataclasses.replace(task, folds=[fold]), epochs, seeds)
    spread = np.hypot(np.std(found), np.std(expected)) / np.sqrt(len(seeds))
    assert abs(np.mean(found) - np.mean(expected)) < 3 * spread
    assert 0.5 < np.std(found) / np.std(expected) < 2


def plain_losses(task, epochs, seeds):
    """Train by ``model.fit`` from each seed; compiled once, all state set anew."""
    fold, losses, trained = task.folds[0], [], None
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        fresh = task.build()
        trained = trained or fresh
        trained.optimizer.build(trained.trainable_variables)
        if fresh is not trained:
            fresh.optimizer.build(fresh.trainable_variables)
            pairs = zip(trained.variables, fresh.variables, strict=True)
            optimizers_ = (trained.optimizer.variables, fresh.optimizer.variables)
            for variable, start in [*pairs, *zip(*optimizers_, strict=True)]:
                variable.assign(start)
        rows, size = fold.train, task.settings.batch_size
        trained.fit(fold.x[rows], fold.y[rows], size, epochs=epochs, verbose=0)
        rows = fold.validation
        losses.append(trained.evaluate(fold.x[rows], fold.y[rows], verbose=0))
    return losses


def test_constraints_are_applied():
    agree(lambda: dense(kernel_constraint=keras.constraints.MaxNorm(0.2)))


def test_user_layers_agree_and_are_not_shared():
    class Doubled(layers.Layer):
        def call(self, x):
            return x * 2

    def build():
        return compiled([Doubled(), layers.Dense(4)], (6,))

    agree(build)
    assert structure_key(build()) is None


def test_lambda_layers_with_different_closures_differ():
    results = []
    for factor in (1.0, 3.0):

        def build(factor=factor):
            scaled = layers.Lambda(lambda x: x * factor)
            return compiled([scaled, layers.Dense(4)], (6,))

        results.append(train(make_task(build, (6,))).train_loss)
    assert results[0] != results[1]


@pytest.mark.filterwarnings("ignore:.*includes a `lambda`:UserWarning")
def test_a_program_is_not_shared_with_a_lambda_as_activation():
    assert structure_key(compiled([layers.Dense(4, lambda x: x)], (6,))) is None


def test_half_precision_computation_trains():
    policy = "mixed_bfloat16"
    task = make_task(lambda: dense(dtype=policy), (6,))
    assert np.isfinite(train(task).validation_loss)


RECURRENT = {"lstm": layers.LSTM, "simple_rnn": layers.SimpleRNN}


@pytest.mark.parametrize("name", ["dense", *RECURRENT])
def test_no_sum_is_left_to_the_order_in_which_memory_is_free(name):
    """Of three or more terms (``AddN``), the last bit would differ now and then."""

    shape = (5, 2) if name in RECURRENT else (6,)

    def build():
        inputs = keras.Input(shape)
        first = RECURRENT[name](4) if name in RECURRENT else layers.Dense(4)
        shared = first(inputs)
        ways = [layers.Dense(4, activation="tanh")(shared) for _ in range(3)]
        outputs = layers.Dense(4, activation="softmax")(layers.Add()(ways))
        model = keras.Model(inputs, outputs)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    task = make_task(build, shape)
    program = GraphTrainer().start(task)._program
    graph_def = program._compiled.graph.as_graph_def()
    sums = [
        node.attr["N"].i
        for function in graph_def.library.function
        for node in function.node_def
        if node.op == "AddN"
    ]
    assert sums
    assert max(sums) == 2


def test_one_program_serves_all_learning_rates():
    program_cache.forget_programs()
    for rate in (0.1, 0.01):
        train(make_task(lambda rate=rate: dense(optimizers.Adam(rate)), (6,)))
    assert len(program_cache._PROGRAMS) == 1


@pytest.mark.parametrize("light_below", [program_cache.LIGHT_BELOW, 0])
def test_one_program_serves_all_numbers_of_an_optimizer(monkeypatch, light_below):
    monkeypatch.setattr(program_cache, "LIGHT_BELOW", light_below)
    program_cache.forget_programs()
    numbers = [
        {"momentum": 0.5, "weight_decay": 0.1, "clipnorm": 1.0},
        {"momentum": 0.9, "weight_decay": 0.1, "clipnorm": 1.0},
        {"momentum": 0.9, "weight_decay": 0.3, "clipnorm": 1.0},
        {"momentum": 0.9, "weight_decay": 0.3, "clipnorm": 0.01},
    ]
    losses = [
        train(make_task(lambda n=n: dense(optimizers.SGD(0.05, **n)), (6,))).train_loss
        for n in numbers
    ]
    assert len(program_cache._PROGRAMS) == 1
    assert len(set(losses)) == len(losses)


def test_the_oldest_programs_are_dropped_and_freed_several_at_once(monkeypatch):
    monkeypatch.setattr(program_cache, "MAX_PROGRAMS", 3)
    monkeypatch.setattr(program_cache, "DROPPED_AT_ONCE", 2)
    program_cache.forget_programs()
    made = []
    for activation in ("relu", "tanh", "elu", "selu"):
        train(make_task(lambda kind=activation: dense_of(kind), (6,)))
        made.append(weakref.ref(next(reversed(program_cache._PROGRAMS.values()))))
    kept = list(program_cache._PROGRAMS.values())
    assert [program() for program in made] == [None, None, *kept]


@pytest.mark.parametrize("light_below", [program_cache.LIGHT_BELOW, 0])
def test_what_a_program_calls_is_rewritten_as_it_was_chosen(monkeypatch, light_below):
    """Else sums are put together, and oneDNN keeps every fused shape there ever was."""
    monkeypatch.setattr(program_cache, "LIGHT_BELOW", light_below)
    program_cache.forget_programs()
    train(make_task(build_mlp, (6,)))
    (program,) = program_cache._PROGRAMS.values()
    called = list(called_functions(program._compiled.graph.as_graph_def()))
    assert called
    for rewrites in called:
        assert rewrites.arithmetic_optimization == RewriterConfig.OFF
        assert (rewrites.remapping == RewriterConfig.OFF) == (light_below > 0)


def called_functions(definition):
    """Yield the graph optimizer's settings for every function that is called."""
    nodes = [definition.node, *(each.node_def for each in definition.library.function)]
    for node in itertools.chain.from_iterable(nodes):
        if "PartitionedCall" in node.op:
            config = ConfigProto.FromString(node.attr["config_proto"].s)
            yield config.graph_options.rewrite_options


def test_arrays_are_held_as_long_as_they_live():
    arrays, array = DeviceArrays(), np.ones(3)
    assert arrays.tensor(array) is arrays.tensor(array)
    del array
    gc.collect()
    assert len(arrays) == 0


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class BatchCounter(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


def build_own_step():
    output = layers.Dense(3, activation="softmax")
    model = OwnStep([keras.Input((6,)), output])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def build_eager():
    model = dense()
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    return model


class GlobalNoise(layers.Layer):
    def call(self, x):
        return x + keras.random.normal((6,))


class Rising(optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.01


REFUSED = {
    "train_step": build_own_step,
    "run_eagerly": build_eager,
    "Nadam": lambda: dense(optimizers.Nadam(0.01)),
    "no config": lambda: dense(optimizers.Adam(Rising())),
    "use_ema": lambda: dense(optimizers.Adam(0.01, use_ema=True)),
    "global": lambda: compiled([GlobalNoise()], (6,)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_it_cannot_do_it_says(reason):
    task = make_task(REFUSED[reason], (6,))
    assert reason in GraphTrainer().why_not(task)
    with pytest.raises(ExperimentError, match="keras_fit"):
        GraphTrainer().start(task)


def test_data_larger_than_a_share_of_memory_are_streamed_elsewhere(monkeypatch):
    monkeypatch.setattr(graph_limits, "MEMORY_SHARE", 0.0)
    task = make_task(dense, (6,))
    assert "of the memory" in GraphTrainer().why_not(task)
    assert choose_trainer("auto", task).name == "keras_fit"


def test_auto_hands_over_and_tells_why_once(caplog):
    ktune.trainers._log_once.cache_clear()
    settings = FitSettings(callbacks=[BatchCounter()])
    task = make_task(dense, (6,), settings=settings)
    with caplog.at_level(logging.INFO, logger="ktune"):
        names = [choose_trainer("auto", task).name for _ in "ab"]
    assert names == ["keras_fit", "keras_fit"]
    (message,) = [record.getMessage() for record in caplog.records]
    assert "BatchCounter acts on every batch" in message


def test_auto_takes_the_graph():
    assert choose_trainer("auto", make_task(build_mlp, (6,))).name == "graph"


def test_unknown_trainer_is_named():
    with pytest.raises(ExperimentError, match="Did you mean 'graph'"):
        choose_trainer("grahp", make_task(build_mlp, (6,)))


def agree(build):
    """Check three epochs against ``model.fit``."""
    task = make_task(build, (6,))
    training = GraphTrainer().start(task)
    for _ in range(3):
        training.run_epoch()
    expected, _ = plain_fit(task, 0, 3)
    assert_close(training.model(0), expected)


def train(task):
    return GraphTrainer().start(task).run_epoch()[0]
