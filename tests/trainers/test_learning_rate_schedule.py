import keras
import pytest

from ktune.errors import ExperimentError
from ktune.experiment.fit_settings import FitSettings, make_fit_settings
from ktune.trainers.learning_rate_schedule import require_one_schedule

COSINE = FitSettings(learning_rate_schedule="cosine")


def model_with(optimizer):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


def test_the_setting_is_cosine_or_none():
    assert make_fit_settings({"learning_rate_schedule": "cosine"}) == COSINE
    assert make_fit_settings({"learning_rate_schedule": "none"}) == FitSettings()
    with pytest.raises(ExperimentError, match="must be None or 'cosine'; got 'step'"):
        make_fit_settings({"learning_rate_schedule": "step"})


def test_a_schedule_of_the_optimizer_is_refused_beside_it():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model = model_with(keras.optimizers.Adam(schedule))
    with pytest.raises(ExperimentError, match="ExponentialDecay of the optimizer"):
        require_one_schedule(COSINE, model)
    require_one_schedule(FitSettings(), model)


@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.ReduceLROnPlateau(),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate),
    ],
)
def test_a_callback_that_changes_the_rate_is_refused_beside_it(callback):
    settings = FitSettings(learning_rate_schedule="cosine", callbacks=[callback])
    with pytest.raises(ExperimentError, match=f"callback {type(callback).__name__}"):
        require_one_schedule(settings, model_with("adam"))
    other = FitSettings(
        learning_rate_schedule="cosine", callbacks=[keras.callbacks.CSVLogger("a")]
    )
    require_one_schedule(other, model_with("adam"))
