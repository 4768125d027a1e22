"""An export as a whole: all files agree with the registered model, or none stays."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ktune.cli.main import main
from ktune.data.dataset import Task
from ktune.errors import ExportError, ExportRefused
from ktune.models.export import exporters
from ktune.models.export.exporters import choose_exporters
from ktune.models.export.exporting import export_model
from ktune.models.export.external_preprocessing import apply_preprocessing
from ktune.models.export.keras_exporter import KerasExporter
from ktune.models.export.metadata import read_from_archive
from ktune.models.export.parity import check_lossy, largest_difference
from ktune.models.export.tflite_exporter import TfliteExporter
from ktune.models.registry.reference import find_model
from ktune.models.registry.stored_model import open_model

pytest.importorskip("ai_edge_litert")


class Shuffled(TfliteExporter):
    """Writes another model: the weights of its last layer are turned round."""

    def write(self, job, folder):
        weights = job.model.get_weights()
        job.model.set_weights([*weights[:-2], -weights[-2], weights[-1]])
        try:
            return super().write(job, folder)
        finally:
            job.model.set_weights(weights)


class Renamed(TfliteExporter):
    """Mixes up the class names."""

    def write(self, job, folder):
        names = list(reversed(job.metadata["class_names"]))
        changed = {**job.metadata, "class_names": names}
        return super().write(replace(job, metadata=changed), folder)


class Torn(TfliteExporter):
    """Loses the first half of the file."""

    def write(self, job, folder):
        path = super().write(job, folder)
        content = path.read_bytes()
        path.write_bytes(content[len(content) // 2 :])
        return path


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Shuffled(), r"tflite: differs from the registered model by up to \d"),
        (Torn(), "tflite: does not run"),
    ],
)
def test_what_does_not_agree_is_refused_and_leaves_nothing(
    here, tmp_path, broken, told
):
    with (
        open_model(here.store, find_model(here.store, "categories")) as model,
        pytest.raises(ExportRefused, match=told),
    ):
        export_model(here.store, model, [broken], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_exit_code_one(here, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exporters, "choose_exporters", lambda names: [Renamed()])
    assert main(["export", "categories", "-o", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert "refused, nothing is written: tflite: class names are not those" in err
    assert list(tmp_path.iterdir()) == []


class Unfit(TfliteExporter):
    """Cannot hold the model."""

    def write(self, job, folder):
        raise ExportError("it holds no categories")


@pytest.mark.parametrize(("other", "code"), [(Unfit(), 2), (Renamed(), 1)])
def test_formats_that_are_not_written_leave_the_others_and_have_an_exit_code(
    other, code, here, tmp_path, monkeypatch, capsys
):
    formats = [other, KerasExporter()]
    monkeypatch.setattr(exporters, "choose_exporters", lambda names: formats)
    folder = tmp_path / "out"
    assert main(["export", "categories", "-o", str(folder)]) == code
    assert f"not written: {other.name}: " in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} >= {"categories.keras"}


def test_text_columns_need_the_file_beside_and_it_works(here, tmp_path, capsys):
    out, rows = tmp_path / "out", tmp_path / "rows.csv"
    tiny = here.models["categories"]
    tiny.rows.to_csv(rows, index=False)
    words = ["export", "categories", "--to", "tflite", "-o", str(out)]
    assert main([*words, "--rows", str(rows)]) == 0
    told = capsys.readouterr().out
    assert "The preprocessing is not embedded: categories are text" in told
    assert "200" in told
    names = {"categories.tflite", "preprocessing.skops", "preprocessing.json"}
    assert {path.name for path in out.iterdir()} == names | {"export.json"}
    metadata = read_from_archive(out / "categories.tflite")
    assert metadata["class_names"] == ["class 0", "class 1", "class 2"]
    inputs = apply_preprocessing(out, {"rows": pd.read_csv(rows)}, metadata)
    outputs = TfliteExporter().replay(out / "categories.tflite", inputs)
    np.testing.assert_allclose(outputs, tiny.predict(tiny.rows), atol=1e-5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cnn", "--to", "onx"], "there is no format 'onx'. Known: keras, savedmodel"),
        (["cnn", "--to", "tflite8"], "Did you mean 'tflite'?"),
        (["cnn", "--to", "tflite", "-o", "mlruns"], "mlruns already exists"),
        (["cnn", "--to", "tflite", "-o", "no/out"], "there is no folder 'no'"),
        (["cnm", "--to", "tflite"], "Did you mean 'cnn'?"),
        (["cnn", "--to", "tflite", "--rows", "x.csv"], "there is no file 'x.csv'"),
    ],
)
def test_mistakes_are_answered_and_write_nothing(here, capsys, words, told):
    before = sorted(here.folder.iterdir())
    assert main(["export", *words]) == 2
    assert told in capsys.readouterr().err
    assert sorted(here.folder.iterdir()) == before


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(exporters, "_is_installed", lambda name: name != "tf2onnx")
    with pytest.raises(ExportError) as failure:
        choose_exporters(["tflite", "onnx"])
    assert "needs tf2onnx, which is not installed" in str(failure.value)
    assert 'pip install "ktune[onnx]"' in str(failure.value)


def test_outputs_that_are_not_numbers_or_of_another_shape_are_refused():
    with pytest.raises(ExportRefused, match="shape"):
        largest_difference(np.zeros((3, 2)), np.zeros((3, 1)))
    with pytest.raises(ExportRefused, match="not finite"):
        largest_difference(np.full((3, 1), np.nan), np.zeros((3, 1)))


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_a_lossy_format_that_is_another_model_is_refused(task):
    rng = np.random.default_rng(0)
    reference = rng.dirichlet([0.3] * 3, 300) if task is Task.MULTICLASS else None
    if reference is None:
        reference = rng.random(300)
    near = reference + rng.normal(0, 0.001, reference.shape)
    assert check_lossy(near, reference, task) > 0.97
    with pytest.raises(ExportRefused):
        check_lossy(reference[::-1], reference, task)
