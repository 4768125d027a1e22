import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.errors import ExperimentError
from ktune.experiment.fit_settings import make_fit_settings
from ktune.trainers.weight_averaging import WeightAverage, averaged_epochs


@given(st.integers(1, 40))
def test_the_mean_covers_the_last_third_of_the_epochs_so_far(n_epochs):
    average = WeightAverage()
    for epoch in range(n_epochs):
        average.add(np.full(3, epoch, np.float32))
    last = np.arange(n_epochs)[n_epochs - averaged_epochs(n_epochs) :]
    assert len(last) == -(-n_epochs // 3)
    np.testing.assert_allclose(average.mean(), np.full(3, last.mean()))
    assert average.mean().dtype == np.float32


def test_the_setting_is_a_switch():
    assert make_fit_settings({"average_weights": True}).average_weights
    assert not make_fit_settings({}).average_weights
    with pytest.raises(ExperimentError, match="'average_weights' must be True or"):
        make_fit_settings({"average_weights": 0.3})
