import keras
import pytest
from keras import layers

from ktune.models.export.tflite_exporter import TfliteExporter
from ktune.models.export.tflite_file import _why_not
from ktune.testing.exporters import ExporterContract


class TestTfliteExporter(ExporterContract):
    models = ("lstm", "mlp")

    def make_exporter(self):
        return TfliteExporter()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_refusal_names_the_number_type_if_it_is_not_float32(policy):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, dtype=policy)])
    reason = _why_not(model, ValueError("no FlatBuffer\nlong log"))
    assert reason.endswith("does not support this model: no FlatBuffer")
    assert ("dtype='float32'" in reason) == (policy != "float32")
