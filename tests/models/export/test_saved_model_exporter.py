from ktune.models.export.saved_model_exporter import SavedModelExporter
from ktune.testing.exporters import ExporterContract


class TestSavedModelExporter(ExporterContract):
    def make_exporter(self):
        return SavedModelExporter()
