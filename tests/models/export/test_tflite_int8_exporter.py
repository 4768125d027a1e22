from ktune.models.export.tflite_int8_exporter import TfliteInt8Exporter
from ktune.testing.exporters import ExporterContract


class TestTfliteInt8Exporter(ExporterContract):
    models = ("mlp",)

    def make_exporter(self):
        return TfliteInt8Exporter()
