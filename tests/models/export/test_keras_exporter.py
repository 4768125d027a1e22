from ktune.models.export.keras_exporter import KerasExporter
from ktune.testing.exporters import ExporterContract


class TestKerasExporter(ExporterContract):
    def make_exporter(self):
        return KerasExporter()
