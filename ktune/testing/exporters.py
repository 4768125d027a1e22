"""The contract of every exporter; a new one is tested by a subclass of three lines.

```python
class TestMyExporter(ExporterContract):
    def make_exporter(self):
        return MyExporter()
```
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktune.data.dataset import Inputs, take_rows
from ktune.data.preprocessing import FittedPreprocessing
from ktune.models.export.exporters import missing_packages
from ktune.models.export.preparing import Prepared, prepare
from ktune.models.export.rows_file import as_arrays
from ktune.protocols import Exporter
from ktune.testing.models import TINY_MODELS, TinyModel
from ktune.utils.runtime import diverted_stderr, quiet_libraries

ROWS = 40
LOSSY_TOLERANCE = 0.1


class ExporterContract:
    """Contract of every exporter.

    Attributes:
        models: Names of the `ktune.testing.models` to test; ``cnn`` has augmentation,
            batch norm, dropout, GELU and embedded scaling of pixels.
    """

    models: tuple[str, ...] = ("cnn",)

    def make_exporter(self) -> Exporter:
        """Return the exporter under test."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def written(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        """Return model, job and path by model name, each written once."""
        exporter = cls().make_exporter()
        missing = missing_packages(exporter)
        if missing:
            pytest.skip(f"{', '.join(missing)} not installed")
        found = {}
        for name in cls.models:
            folder = tmp_path_factory.mktemp(exporter.name)
            tiny = TINY_MODELS[name]()
            prepared = prepare_tiny(tiny)
            with diverted_stderr(), quiet_libraries():
                path = exporter.write(prepared.job, folder)
            found[name] = (tiny, prepared, path, folder)
        return found

    def test_it_agrees_with_the_model_on_real_rows_each_time(
        self, written: dict[str, Any]
    ) -> None:
        """Augmentation is off, and the preprocessing is inside."""
        exporter = self.make_exporter()
        for name, (tiny, prepared, path, _) in written.items():
            rows = take_rows(tiny.rows, np.arange(ROWS))
            first = _replay(exporter, path, rows, prepared)
            again = _replay(exporter, path, rows, prepared)
            wanted = tiny.predict(rows)
            np.testing.assert_array_equal(first, again, err_msg=name)
            tolerance = exporter.tolerance or LOSSY_TOLERANCE
            np.testing.assert_allclose(first, wanted, atol=tolerance, err_msg=name)

    def test_one_row_gives_what_it_gives_among_many(
        self, written: dict[str, Any]
    ) -> None:
        """Batches may be of any size."""
        exporter = self.make_exporter()
        for name, (tiny, prepared, path, _) in written.items():
            many = _replay(
                exporter, path, take_rows(tiny.rows, np.arange(ROWS)), prepared
            )
            one = _replay(exporter, path, take_rows(tiny.rows, np.arange(1)), prepared)
            tolerance = exporter.tolerance or LOSSY_TOLERANCE
            np.testing.assert_allclose(one, many[:1], atol=tolerance, err_msg=name)

    def test_metadata_are_in_the_written_file(self, written: dict[str, Any]) -> None:
        """Class names are the most important ones."""
        for _, prepared, path, _ in written.values():
            found = self.make_exporter().read_metadata(path)
            assert found == {**found, **prepared.job.metadata}

    def test_it_writes_one_file_or_folder_named_after_the_model(
        self, written: dict[str, Any]
    ) -> None:
        """Nothing else is left in the folder."""
        for _, prepared, path, folder in written.values():
            assert list(folder.iterdir()) == [path]
            assert path.name.startswith(prepared.job.name)


def prepare_tiny(tiny: TinyModel) -> Prepared:
    """Return the export job of a model without registering it."""
    package = tiny.package
    return prepare(
        model=package.fitted.model,
        preprocessing=package.fitted.preprocessing,
        columns=[str(c) for c in getattr(tiny.rows, "columns", ())],
        name="tiny",
        rows=take_rows(tiny.rows, np.arange(100)),
        facts={
            "model": "tiny/1",
            "task": package.task.value,
            "class_names": list(package.class_names),
            "returns_logits": False,
        },
    )


def _replay(
    exporter: Exporter, path: Path, rows: Inputs, prepared: Prepared
) -> np.ndarray:
    inputs = prepared.job.metadata["inputs"]
    if prepared.reason:
        preprocessing: FittedPreprocessing = prepared.preprocessing
        rows = preprocessing.transform(rows)
    with diverted_stderr(), quiet_libraries():
        return exporter.replay(
            path,
            {
                name: part.astype(inputs[name]["type"])
                for name, part in as_arrays(rows).items()
            },
        )
