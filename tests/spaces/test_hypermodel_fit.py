"""What a HyperModel's own ``fit`` may do: KerasTuner's contract."""

import keras
import keras_tuner
import numpy as np
import pytest

from ktune.errors import ExperimentError
from ktune.spaces.handed_rows import are_taken_from
from ktune.spaces.hypermodel import fit_one_epoch, rehearse, returned_scores

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = (X[:, :1] > 0).astype(np.float32)
VALIDATION = (RNG.normal(size=(10, 3)).astype(np.float32), Y[:10])


@pytest.fixture
def model():
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    made.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return made


def one_epoch(fit, model, **settings):
    given = {"batch_size": 20, "callbacks": [], **settings}
    return fit_one_epoch(fit, model, X, Y, VALIDATION, **given)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (0.5, {"fit_value": 0.5}),
        (np.float32(0.5), {"fit_value": 0.5}),
        ([0.25, 0.75], {"fit_value": 0.5}),
        ({"score": 2, "other": 1.0}, {"score": 2.0, "other": 1.0}),
        ({"val_f1": np.array([0.5, 1.0]), "f1": 0.1}, {"f1": 0.75}),
        ([{"a": 1.0}, {"a": 3.0, "b": 1.0}], {"a": 2.0}),
        (None, {}),
    ],
)
def test_scores_are_read_off_what_fit_returns(returned, expected):
    assert returned_scores(returned) == expected


def best_loss(model, x, y, validation_data, **kwargs):
    history = model.fit(x, y, validation_data=validation_data, epochs=7, **kwargs)
    return min(history.history["val_loss"])


def test_a_fit_gets_validation_rows_and_its_number_counts(model):
    found = one_epoch(best_loss, model)
    loss = model.evaluate(*VALIDATION, verbose=0, return_dict=True)["loss"]
    assert found.returned == {"fit_value": pytest.approx(loss, rel=1e-5)}
    assert set(found.logs) == {"loss", "accuracy"}


def test_a_rehearsal_reads_settings_and_whether_a_number_comes_back(model):
    found = rehearse(best_loss, model, X, Y)
    assert found.settings == {"epochs": 7}
    assert found.returns_number


def test_a_history_returned_tells_the_metrics_of_validation(model):
    def fit(model, x, y, validation_data, **kwargs):
        return model.fit(x, y, validation_data=validation_data, **kwargs)

    assert set(one_epoch(fit, model).returned) == {"loss", "accuracy"}
    assert not rehearse(fit, model, X, Y).returns_number


def scaled(model, x, y, **kwargs):
    return model.fit(x / 255, y, **kwargs)


def scaled_both(model, x, y, validation_data, **kwargs):
    rows, targets = validation_data
    return model.fit(x / 255, y, validation_data=(rows / 255, targets), **kwargs)


@pytest.mark.parametrize("fit", [scaled, scaled_both])
def test_a_fit_that_changes_rows_is_refused_before_and_in_the_trial(model, fit):
    with pytest.raises(ExperimentError, match="Rescaling"):
        rehearse(fit, model, X, Y)
    with pytest.raises(ExperimentError, match="Rescaling"):
        one_epoch(fit, model)


def test_rows_augmented_for_training_alone_are_allowed(model):
    def fit(model, x, y, validation_data, **kwargs):
        return model.fit(x + 0.1, y, validation_data=validation_data, **kwargs)

    assert rehearse(fit, model, X, Y).settings == {}
    assert one_epoch(fit, model).logs


def test_a_fit_may_split_and_shuffle_its_rows(model):
    def fit(model, x, y, **kwargs):
        order = np.random.default_rng(1).permutation(len(x))
        rows, held_out = order[10:], order[:10]
        validation = (x[held_out], y[held_out])
        history = model.fit(x[rows], y[rows], validation_data=validation, **kwargs)
        return {"val_loss": history.history["val_loss"][-1]}

    assert set(one_epoch(fit, model).returned) == {"loss"}
    with pytest.raises(ExperimentError, match="weights"):
        one_epoch(fit, model, sample_weight=np.ones(40, np.float32))


def test_a_fit_may_make_a_data_set_of_its_rows(model):
    import tensorflow as tf

    def fit(model, x, y, **kwargs):
        rows = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(40, seed=1).batch(8)
        return model.fit(rows, **kwargs)

    assert one_epoch(fit, model).logs

    def changed(model, x, y, **kwargs):
        return model.fit(
            tf.data.Dataset.from_tensor_slices((x / 2, y)).batch(8), **kwargs
        )

    with pytest.raises(ExperimentError, match="changed rows"):
        one_epoch(changed, model)


def test_rows_of_several_inputs_are_compared_by_name():
    given = {"a": X, "b": X[:, :1]}
    assert are_taken_from({"b": X[:5, :1], "a": X[:5]}, given)
    assert not are_taken_from({"a": X, "b": X[:, :1] + 1}, given)
    assert not are_taken_from(X.reshape(40, 3, 1), X)


def test_a_tuner_of_keras_tuner_gets_the_same_hypermodel(model):
    """The contract is KerasTuner's: what runs here runs there."""

    class Hyper(keras_tuner.HyperModel):
        def build(self, hp):
            return model

        def fit(self, hp, model, *args, **kwargs):
            return best_loss(model, *args, **kwargs)

    hyper, hp = Hyper(), keras_tuner.HyperParameters()
    found = one_epoch(
        lambda model, x, y, validation_data, **more: hyper.fit(
            hp, model, x, y, validation_data=validation_data, **more
        ),
        model,
    )
    assert "fit_value" in found.returned
