"""Models that do not fit into memory."""

import resource

import pytest

from ktune.errors import OutOfMemory, TrialFailed
from ktune.searchers.trial_record import result_attribute
from ktune.testing.fakes import failed
from ktune.utils.memory import bytes_to_train, is_out_of_memory, limited_weights
from ktune.utils.runtime import available_bytes, memory_bytes


def make_model(units, optimizer="adam"):
    import keras

    layers = [keras.Input((10,)), keras.layers.Dense(units), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(optimizer, "mse")
    return model


def test_a_model_far_too_big_is_refused_before_it_takes_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = pytest.raises(OutOfMemory, match="more memory than is free")
    with refused as caught, limited_weights(available_bytes()):
        make_model(10**11)
    assert "GiB are needed" in caught.value.details
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20
    assert isinstance(caught.value, TrialFailed)


def test_weights_add_up_over_layers_and_start_anew_with_each_model():
    for _ in range(3):
        with limited_weights(2 * 4 * 70):
            make_model(5)  # 61 weights
    with pytest.raises(OutOfMemory), limited_weights(2 * 4 * 60):
        make_model(5)
    make_model(50)  # no limit any more


@pytest.mark.parametrize(("optimizer", "slots"), [("adam", 2), ("sgd", 0)])
def test_weights_gradients_slots_outputs_and_data_are_counted(optimizer, slots):
    model = make_model(5, optimizer)
    found = bytes_to_train(model, batch_size=8, n_folds=3, data_bytes=1000)
    weights = 3 * 61 * (2 + slots)
    outputs = 2 * 8 * (5 + 1)
    assert found == 4 * (weights + outputs) + 1000


def test_every_backends_way_to_say_so_is_known():
    import tensorflow as tf

    class OutOfMemoryError(RuntimeError):
        """As torch has it."""

    known = [
        MemoryError("no"),
        OutOfMemoryError("CUDA"),
        OutOfMemory("too big"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
    ]
    assert all(map(is_out_of_memory, known))
    assert not is_out_of_memory(ValueError("shape"))


def test_samplers_receive_that_a_model_was_too_large():
    assert result_attribute(failed(kind="OutOfMemory"))["violation"] == 1
    assert result_attribute(failed())["violation"] == 0


def test_free_memory_is_some_of_all_memory():
    assert 0 < available_bytes() <= memory_bytes()
