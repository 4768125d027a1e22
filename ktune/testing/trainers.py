"""The contract of a trainer, as tests.

A trainer is tested by a subclass that creates it::

    class TestMyTrainer(TrainerContract):
        def make_trainer(self):
            return MyTrainer()
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from ktune.data.dataset import DataDescription, Task
from ktune.data.preprocessing import PreparedFold
from ktune.errors import ExperimentError, TrialFailed
from ktune.experiment.fit_settings import FitSettings
from ktune.protocols import FoldEpoch, Trainer, Training, TrainingTask
from ktune.trainers.common import batch_order
from ktune.utils.seeds import derive_seed

N_ROWS = 150
N_FOLDS = 2
N_CLASSES = 3


def make_task(
    build: Callable[[], Any],
    shape: tuple[int, ...],
    *,
    settings: FitSettings | None = None,
    n_folds: int = N_FOLDS,
    seed: int = 0,
) -> TrainingTask:
    """Return a task on random rows that can be learned; folds differ in size.

    Args:
        build: Returns a compiled model for ``N_CLASSES`` classes.
        shape: Shape of one row.
        settings: Batches of 16 rows by default, so that the last one is partial.
        n_folds: Number of folds.
        seed: Seed from which the folds' seeds are derived.
    """
    x, y = make_rows(shape)
    parts = np.array_split(np.random.default_rng(1).permutation(N_ROWS), n_folds)
    folds = []
    for index, validation in enumerate(parts):
        # One fold is smaller than the others by more than a batch.
        train = np.setdiff1d(np.arange(N_ROWS), validation)[: None if index else -20]
        folds.append(PreparedFold(index, x, y, train, train[:40], validation))
    return TrainingTask(
        build=build,
        folds=folds,
        settings=settings or FitSettings(batch_size=16, epochs=3),
        seeds=[derive_seed(seed, index) for index in range(n_folds)],
        data=DataDescription("rows", Task.MULTICLASS, shape, N_CLASSES, N_ROWS),
    )


def make_rows(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return features and class numbers, the same ones at every call."""
    random = np.random.default_rng(0)
    y = random.integers(0, N_CLASSES, N_ROWS)
    x = random.normal(size=(N_ROWS, *shape)).astype(np.float32)
    return x + y.reshape(-1, *[1] * len(shape)).astype(np.float32), y


def compiled(
    layers: Sequence[Any], shape: tuple[int, ...], optimizer: Any = None, **options: Any
) -> Any:
    """Return a compiled classifier that ends in ``N_CLASSES`` probabilities."""
    import keras

    output = keras.layers.Dense(N_CLASSES, activation="softmax")
    model = keras.Sequential([keras.Input(shape), *layers, output])
    loss = options.pop("loss", "sparse_categorical_crossentropy")
    model.compile(optimizer or keras.optimizers.Adam(0.01), loss=loss, **options)
    return model


def build_mlp() -> Any:
    """Return a dense network with regularisation and batch normalisation."""
    import keras

    layers = keras.layers
    parts = [
        layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2()),
        layers.BatchNormalization(),
        layers.Dense(8, activation="tanh", activity_regularizer="l2"),
    ]
    return compiled(parts, (6,), metrics=["accuracy"])


def build_cnn() -> Any:
    """Return a small convolutional network."""
    import keras

    layers = keras.layers
    parts = [
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
    ]
    return compiled(parts, (8, 8, 1), keras.optimizers.SGD(0.05, momentum=0.9))


def build_rnn() -> Any:
    """Return a small recurrent network."""
    import keras

    optimizer = keras.optimizers.RMSprop(0.01, clipnorm=1.0)
    return compiled([keras.layers.LSTM(6)], (5, 2), optimizer)


def build_random() -> Any:
    """Return a network with dropout and noise."""
    import keras

    layers = keras.layers
    parts = [
        layers.GaussianNoise(0.1),
        layers.Dense(16, activation="relu"),
        layers.Dropout(0.3),
    ]
    return compiled(parts, (6,))


def build_augmented() -> Any:
    """Return a convolutional network that augments its images."""
    import keras

    layers = keras.layers
    parts = [
        layers.RandomFlip(),
        layers.RandomTranslation(0.1, 0.1),
        layers.Conv2D(4, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
    ]
    return compiled(parts, (8, 8, 1))


ARCHITECTURES = {
    "mlp": (build_mlp, (6,)),
    "cnn": (build_cnn, (8, 8, 1)),
    "rnn": (build_rnn, (5, 2)),
    "random": (build_random, (6,)),
    "augmented": (build_augmented, (8, 8, 1)),
}
WITHOUT_RANDOMNESS = ("mlp", "cnn", "rnn")


class TrainerContract:
    """Contract of every trainer."""

    def make_trainer(self) -> Trainer:
        """Return the trainer under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("name", WITHOUT_RANDOMNESS)
    def test_weights_agree_with_plain_fit(self, name: str) -> None:
        """Three epochs in the same batch order end at the same weights."""
        build, shape = ARCHITECTURES[name]
        task = make_task(build, shape)
        training, scores = self._train(task, 3)
        # One fold: its equality alone and among others is tested below.
        model, losses = plain_fit(task, 1, 3)
        assert_close(training.model(1), model)
        last = scores[-1][1]
        found = (last.train_loss, last.validation_loss)
        np.testing.assert_allclose(found, losses, rtol=1e-4)

    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_fold_among_others_equals_fold_alone(self, name: str) -> None:
        """The result of a fold does not depend on the other folds, to the last bit."""
        build, shape = ARCHITECTURES[name]
        task = make_task(build, shape)
        _, together = self._train(task, 2)
        # Fold 0, which has fewer batches than the other.
        _, alone = self._train(only(task, 0), 2)
        for epoch in range(2):
            assert_same(together[epoch][0], alone[epoch][0])

    def test_same_trial_again_is_identical_whatever_ran_between(self) -> None:
        """Another seed, learning rate or structure in between leaves no trace."""
        import keras

        def faster() -> Any:
            model = build_random()
            model.optimizer.learning_rate = 0.1
            return model

        def other() -> Any:
            return compiled([keras.layers.Dense(3)], (6,))

        task = only(make_task(build_random, (6,)), 0)
        _, before = self._train(task, 2)
        _, reseeded = self._train(only(make_task(build_random, (6,), seed=1), 0), 1)
        _, between = self._train(only(make_task(faster, (6,)), 0), 1)
        self._train(only(make_task(other, (6,)), 0), 1)
        _, after = self._train(task, 2)
        assert_same(before[-1][0], after[-1][0])
        # Weights, order and dropout follow the fold's seed.
        assert reseeded[0][0].validation_loss != before[0][0].validation_loss
        assert between[0][0].train_loss != before[0][0].train_loss

    def test_class_weight_balances_classes(self) -> None:
        """Balanced weights agree with those of ``model.fit``."""
        settings = FitSettings(batch_size=16, class_weight="balanced")
        task = only(make_task(build_mlp, (6,), settings=settings), 0)
        training, _ = self._train(task, 2)
        model, _ = plain_fit(task, 0, 2)
        assert_close(training.model(0), model)

    def test_refit_without_validation_returns_no_scores(self) -> None:
        """A refit trains like a fold, but is not scored."""
        task = _refit_task(build_mlp, (6,))
        training, scores = self._train(task, 2)
        assert scores == [[], []]
        model, _ = plain_fit(task, 0, 2)
        assert_close(training.model(0), model)

    def test_predictions_are_those_of_the_model(self) -> None:
        """The scored predictions equal those of the model."""
        task = make_task(build_mlp, (6,))
        training, scores = self._train(task, 1)
        fold, score = task.folds[1], scores[0][1]
        expected = training.model(1).predict(_rows(fold.x, fold.validation), verbose=0)
        np.testing.assert_allclose(score.validation_predictions, expected, atol=1e-6)
        assert score.train_predictions.shape == (40, N_CLASSES)

    def test_callbacks_fire_once_and_see_validation(self) -> None:
        """Each fold has its own copy, which gets the same calls as by ``model.fit``."""
        events: list[tuple[str, int | None, frozenset[str]]] = []
        settings = FitSettings(
            batch_size=16, epochs=2, callbacks=[lambda: _recorder(events)]
        )
        task = make_task(build_mlp, (6,), settings=settings)
        training, _ = self._train(task, 2)
        training.close()
        assert sorted(event for event, _, _ in events) == sorted(
            2 * ["train_begin", "epoch_begin", "epoch_begin"]
            + 2 * ["epoch_end", "epoch_end", "train_end"]
        )
        logs = next(names for event, _, names in events if event == "epoch_end")
        assert logs >= {"loss", "accuracy", "val_loss", "val_accuracy"}

    def test_callback_changes_the_learning_rate(self) -> None:
        """Training uses a learning rate set by a callback."""
        import keras

        schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)
        settings = FitSettings(batch_size=16, callbacks=[schedule])
        task = only(make_task(build_random, (6,), settings=settings), 0)
        training, _ = self._train(task, 1)
        start, _ = plain_fit(task, 0, 0)
        assert_close(training.model(0), start)

    def test_learning_rates_of_folds_are_independent(self) -> None:
        """Each fold reduces its rate on its own plateau."""
        import keras

        def plateau() -> Any:
            return keras.callbacks.ReduceLROnPlateau(
                factor=0.5, patience=1, min_delta=10.0
            )

        settings = FitSettings(batch_size=16, callbacks=[plateau])
        task = make_task(build_mlp, (6,), settings=settings)
        training, _ = self._train(task, 3)
        for index in range(2):
            rate = float(training.model(index).optimizer.learning_rate)
            assert rate == pytest.approx(0.0025)

    def test_callback_can_ask_to_stop(self) -> None:
        """``model.stop_training`` is passed on."""
        import keras

        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                self.model.stop_training = epoch == 1

        settings = FitSettings(batch_size=16, callbacks=[Stop()])
        training = self.make_trainer().start(
            only(make_task(build_mlp, (6,), settings=settings), 0)
        )
        training.run_epoch()
        assert not training.wants_to_stop
        training.run_epoch()
        assert training.wants_to_stop
        training.close()

    def test_early_stopping_callback_is_refused(self) -> None:
        """Ktune decides about stopping over all folds."""
        import keras

        settings = FitSettings(callbacks=[keras.callbacks.EarlyStopping(patience=2)])
        with pytest.raises(ExperimentError, match="early_stopping"):
            self.make_trainer().start(make_task(build_mlp, (6,), settings=settings))

    def test_diverging_training_fails_the_trial(self) -> None:
        """A loss that is not finite ends the trial with a reason."""
        import keras

        def build() -> Any:
            optimizer = keras.optimizers.SGD(1e30)
            return compiled([keras.layers.Dense(4)], (6,), optimizer, loss=_square)

        with pytest.raises(TrialFailed, match="diverged|finite"):
            self._train(only(make_task(build, (6,)), 0), 3)

    def test_several_inputs(self) -> None:
        """Features may be one array per named input."""
        task = _two_input_task()
        training, _ = self._train(task, 2)
        model, _ = plain_fit(task, 0, 2)
        assert_close(training.model(0), model)

    def test_learning_rate_follows_the_schedule(self) -> None:
        """The rate of each epoch is that of Keras's scheduler with this factor."""
        import keras

        settings = FitSettings(batch_size=16, epochs=4, learning_rate_schedule="cosine")
        task = only(make_task(build_mlp, (6,), settings=settings), 0)
        training, _ = self._train(task, 3)  # a refit stops at the best epoch

        def rate_of(epoch: int, rate: float) -> float:
            initial = float(build_mlp().optimizer.learning_rate)
            return initial * 0.5 * (1 + np.cos(np.pi * epoch / 4))

        scheduler = keras.callbacks.LearningRateScheduler(rate_of)
        model, _ = plain_fit(task, 0, 3, callbacks=[scheduler])
        assert_close(training.model(0), model)

    def test_averaged_weights_are_scored_and_returned(self) -> None:
        """The model of an epoch is the mean over the last third of the epochs."""
        plain = FitSettings(batch_size=16, epochs=4)
        settings = FitSettings(batch_size=16, epochs=4, average_weights=True)
        before, _ = self._train(only(make_task(build_mlp, (6,), settings=plain), 0), 3)
        task = only(make_task(build_mlp, (6,), settings=plain), 0)
        last, _ = self._train(task, 4)
        training, scores = self._train(
            only(make_task(build_mlp, (6,), settings=settings), 0), 4
        )
        model = training.model(0)
        for mean, *ends in zip(
            model.trainable_variables,
            before.model(0).trainable_variables,
            last.model(0).trainable_variables,
            strict=True,
        ):
            expected = np.mean([np.array(end) for end in ends], axis=0)
            np.testing.assert_allclose(np.array(mean), expected, rtol=1e-4, atol=1e-6)
        fold = task.folds[0]
        found = model.predict(_rows(fold.x, fold.validation), verbose=0)
        np.testing.assert_allclose(
            scores[-1][0].validation_predictions, found, atol=1e-5
        )

    def test_statistics_of_averaged_weights_are_measured_anew(self) -> None:
        """The first layer's inputs have their own mean under the averaged weights."""
        from keras import ops

        settings = FitSettings(batch_size=16, epochs=4, average_weights=True)
        task = only(make_task(build_mlp, (6,), settings=settings), 0)
        training, _ = self._train(task, 4)
        model, fold = training.model(0), task.folds[0]
        inputs = model.layers[0](_rows(fold.x, fold.train))
        np.testing.assert_allclose(
            ops.convert_to_numpy(model.layers[1].moving_mean),
            ops.convert_to_numpy(inputs).mean(axis=0),
            rtol=1e-3,
            atol=1e-5,
        )

    def test_close_may_be_called_twice(self) -> None:
        """The model of a fold is still available."""
        training, _ = self._train(only(make_task(build_mlp, (6,)), 0), 1)
        training.close()
        training.close()
        assert training.model(0).count_params() == training.n_parameters
        assert "Dense" in training.summary

    def _train(
        self, task: TrainingTask, epochs: int
    ) -> tuple[Training, list[list[FoldEpoch]]]:
        training = self.make_trainer().start(task)
        return training, [training.run_epoch() for _ in range(epochs)]


def only(task: TrainingTask, index: int) -> TrainingTask:
    """Return the task of one of the folds."""
    fold, seed = task.folds[index], task.seeds[index]
    return TrainingTask(task.build, [fold], task.settings, [seed], task.data)


def plain_fit(
    task: TrainingTask, index: int, epochs: int, callbacks: Sequence[Any] = ()
) -> tuple[Any, Any]:
    """Train one fold with plain Keras; also return its final losses."""
    import keras

    keras.utils.set_random_seed(task.seeds[index])
    model, fold = task.build(), task.folds[index]
    for epoch in range(epochs):
        rows = batch_order(fold, task.seeds[index], epoch)
        model.fit(
            _rows(fold.x, rows),
            fold.y[rows],
            batch_size=task.settings.batch_size,
            class_weight=_class_weight(fold) if task.settings.class_weight else None,
            shuffle=False,
            verbose=0,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=list(callbacks),
        )
    if not len(fold.validation):
        return model, None
    losses = [
        model.evaluate(_rows(fold.x, rows), fold.y[rows], verbose=0, return_dict=True)
        for rows in (fold.train_sample, fold.validation)
    ]
    return model, [loss["loss"] for loss in losses]


def _rows(x: Any, rows: np.ndarray) -> Any:
    if isinstance(x, dict):
        return {name: part[rows] for name, part in x.items()}
    return x[rows]


def _class_weight(fold: PreparedFold) -> dict[int, float]:
    counts = np.bincount(fold.y[fold.train])
    return dict(enumerate(len(fold.train) / (len(counts) * counts)))


def _refit_task(build: Callable[[], Any], shape: tuple[int, ...]) -> TrainingTask:
    task = make_task(build, shape)
    nothing = np.array([], np.int64)
    rows = np.arange(N_ROWS)
    fold = PreparedFold(0, task.folds[0].x, task.folds[0].y, rows, nothing, nothing)
    return TrainingTask(build, [fold], task.settings, [7], task.data)


def _two_input_task() -> TrainingTask:
    import keras

    def build() -> Any:
        left, right = keras.Input((6,), name="left"), keras.Input((4,), name="right")
        joined = keras.layers.Concatenate()([left, keras.layers.Dense(3)(right)])
        output = keras.layers.Dense(N_CLASSES, activation="softmax")(joined)
        model = keras.Model({"left": left, "right": right}, output)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    task = make_task(build, (6,))
    rows, _ = make_rows((6,))
    x = {"left": rows, "right": rows[:, :4].copy()}
    folds = [
        PreparedFold(f.index, x, f.y, f.train, f.train_sample, f.validation)
        for f in task.folds
    ]
    return TrainingTask(build, folds, task.settings, task.seeds, task.data)


def _square(y_true: Any, y_pred: Any) -> Any:
    return (y_pred * 1e30) ** 2


def _recorder(events: list[Any]) -> Any:
    import keras

    class Recorder(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            events.append(("train_begin", None, frozenset()))

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            events.append(("epoch_begin", epoch, frozenset()))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            events.append(("epoch_end", epoch, frozenset(logs or {})))

        def on_train_end(self, logs: Any = None) -> None:
            events.append(("train_end", None, frozenset()))

    return Recorder()


def assert_close(model: Any, expected: Any) -> None:
    """Compare weights to float32 rounding."""
    for one, other in _weights(model, expected):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def _weights(model: Any, expected: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pairs = zip(model.weights, expected.weights, strict=True)
    return ((one.numpy(), other.numpy()) for one, other in pairs)


def assert_same(one: FoldEpoch, other: FoldEpoch) -> None:
    """Compare to the last bit."""
    assert one.train_loss == other.train_loss
    assert one.validation_loss == other.validation_loss
    np.testing.assert_array_equal(one.train_predictions, other.train_predictions)
    np.testing.assert_array_equal(
        one.validation_predictions, other.validation_predictions
    )
