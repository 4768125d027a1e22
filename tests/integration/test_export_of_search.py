"""Exporting the model of a real search: rows and scores come from its own data."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from ktune.cli.main import main
from ktune.models.export.tflite_exporter import TfliteExporter

pytest.importorskip("ai_edge_litert")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(small_search, tmp_path_factory):
    """The folder of an export, and what the command printed."""
    folder = tmp_path_factory.mktemp("export") / "small"
    words = ["export", "small", "--to", "tflite,tflite_int8", "-o", str(folder)]
    assert main([*words, "--tracking-uri", small_search.uri]) == 0
    return folder


@pytest.fixture
def report(exported):
    return json.loads((exported / "export.json").read_text())


@pytest.mark.slow
def test_two_hundred_rows_of_the_search_are_compared(report):
    exact = report["files"][0]
    assert exact["format"] == "tflite"
    assert exact["n_rows"] == 200
    assert exact["difference"] <= exact["tolerance"] == 1e-5
    assert report["rows"] == "rows of breast_cancer"


def test_a_quantised_file_is_scored_on_the_whole_test_set(report, small_search):
    lossy = report["files"][1]
    assert lossy["n_rows"] == 114
    assert lossy["metric"] == "accuracy"
    tested = small_search.result.test["accuracy"].value
    assert lossy["score"] == pytest.approx(tested)
    assert abs(lossy["exported_score"] - tested) < 0.1
    assert lossy["agreement"] > 0.9


def test_preprocessing_and_class_names_are_inside(exported, report, small_search):
    assert report["not_inside"] == ""
    assert report["metadata"]["class_names"] == ["malignant", "benign"]
    assert len(report["metadata"]["columns"]) == 30
    table = load_breast_cancer(as_frame=True).data
    found = TfliteExporter().replay(
        exported / "small.tflite", {"rows": table.to_numpy(np.float32)}
    )
    fitted = small_search.result._fitted
    wanted = fitted.model.predict(fitted.preprocessing.transform(table), verbose=0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_only_the_files_and_the_report_are_left(exported):
    names = {path.name for path in exported.iterdir()}
    assert names == {"small.tflite", "small-int8.tflite", "export.json"}
    assert list(exported.parent.iterdir()) == [exported]
