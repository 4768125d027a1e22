"""Models of a store run no code but ktune's: no pickle, none in a Keras file."""

import shutil

import pytest

from ktune.errors import StoreError
from ktune.models.export.keras_exporter import KerasExporter
from ktune.models.registry.reference import find_model
from ktune.models.registry.stored_model import open_model
from ktune.tracking.model_files import downloaded


@pytest.fixture
def hostile(tmp_path):
    """A Keras file that holds code of its own."""
    import keras

    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(double)])
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


double = eval("lambda x: 2 * x")  # of no module, so that Keras has to save its code


def test_a_keras_file_with_code_in_it_is_not_loaded(here, hostile):
    with open_model(here.store, find_model(here.store, "cnn")) as model:
        shutil.copy(hostile, model.part("model"))
        with pytest.raises(StoreError, match=r"(?i)lambda.*unsafe|unsafe.*lambda"):
            model.predict(here.models["cnn"].rows)


def test_nor_is_an_exported_one(hostile):
    with pytest.raises(ValueError, match=r"(?is)lambda.*safe"):
        KerasExporter().replay(hostile, {})


def test_a_pickled_model_is_refused_before_it_is_loaded(here, tmp_path):
    folder = tmp_path / "pickled"
    with downloaded(here.store, find_model(here.store, "cnn").uri, "cnn") as copy:
        shutil.copytree(copy, folder)
    about = (folder / "MLmodel").read_text()
    for loader in ("mlflow.pyfunc.model", "mlflow.sklearn", "os"):
        changed = about.replace("mlflow.pyfunc.loaders.code_model", loader)
        assert changed != about
        (folder / "MLmodel").write_text(changed)
        with (
            pytest.raises(StoreError, match="may unpickle it and run anything"),
            open_model(here.store, find_model(here.store, str(folder))),
        ):
            pass
