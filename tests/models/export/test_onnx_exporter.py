from types import SimpleNamespace

import keras
import pytest

from ktune.errors import ExportError
from ktune.models.export.onnx_exporter import OnnxExporter
from ktune.testing.exporters import ExporterContract


class TestOnnxExporter(ExporterContract):
    def make_exporter(self):
        return OnnxExporter()


def test_a_model_of_bfloat16_is_refused_with_the_formats_that_hold_it(tmp_path):
    layer = keras.layers.Dense(1, dtype="mixed_bfloat16")
    job = SimpleNamespace(model=keras.Sequential([keras.Input((2,)), layer]), name="x")
    with pytest.raises(ExportError, match="bfloat16. Use mixed_float16 or float32"):
        OnnxExporter().write(job, tmp_path)
