from ktune.models.export.onnx_exporter import OnnxExporter
from ktune.testing.exporters import ExporterContract


class TestOnnxExporter(ExporterContract):
    def make_exporter(self):
        return OnnxExporter()
