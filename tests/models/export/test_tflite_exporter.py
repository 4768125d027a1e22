from ktune.models.export.tflite_exporter import TfliteExporter
from ktune.testing.exporters import ExporterContract


class TestTfliteExporter(ExporterContract):
    models = ("lstm", "mlp")

    def make_exporter(self):
        return TfliteExporter()
