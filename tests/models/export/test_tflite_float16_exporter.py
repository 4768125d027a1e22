from ktune.models.export.tflite_float16_exporter import TfliteFloat16Exporter
from ktune.testing.exporters import ExporterContract


class TestTfliteFloat16Exporter(ExporterContract):
    def make_exporter(self):
        return TfliteFloat16Exporter()
