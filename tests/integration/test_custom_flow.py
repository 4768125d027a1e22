"""A custom task from the search to predictions of the registered model."""

from types import SimpleNamespace

import numpy as np
import pytest
from scoring import answer

import ktune
from ktune.cli.main import main
from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.listener import Listener
from ktune.models.ensembles.ensembling import Ensembler
from ktune.models.registry.reference import find_model
from ktune.models.registry.stored_model import open_model
from ktune.utils.runtime import import_keras

import_keras()

import keras  # noqa: E402
from keras import layers  # noqa: E402

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.random((40, 6, 6, 1)).astype("float32")
TARGETS = {"mask": (X > 0.5).astype("uint8"), "bright": X.mean(axis=(1, 2, 3))}


def build(hp):
    image = keras.Input((6, 6, 1))
    hidden = layers.Conv2D(hp.Int("filters", 2, 4), 3, padding="same")(image)
    mask = layers.Conv2D(1, 1, activation="sigmoid", name="mask")(hidden)
    bright = layers.Dense(1, name="bright")(layers.Flatten()(image))
    model = keras.Model(image, {"mask": mask, "bright": bright})
    overlap = keras.metrics.BinaryIoU(target_class_ids=[1], name="io_u")
    model.compile(
        keras.optimizers.Adam(0.01),
        loss={"mask": "binary_crossentropy", "bright": "mse"},
        metrics={"mask": [overlap]},
    )
    return model


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("custom")
    experiment = ktune.Experiment(
        name="outputs",
        data=(X, TARGETS),
        build=build,
        objective="mask_io_u",
        sampler="random",
        fit={"epochs": 2},
        cv=2,
        trials=1,
    )
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    return ktune.search(experiment, tracking_uri=uri, listener=Listener())


def test_every_metric_of_the_model_is_recorded_and_tested(found):
    names = {"loss", "mask_loss", "bright_loss", "mask_io_u"}
    assert {f"val_{name}" for name in names} <= set(found.trials.columns)
    assert set(found.test) == names
    assert found.objective.direction == "max"
    assert found.registration is not None


def test_the_report_shows_the_curves_of_the_metrics_and_what_does_not_apply(found):
    page = str(found.report()._repr_html_())
    assert "mask_io_u" in page
    assert "a custom task has no classes" in page


def test_outputs_are_written_as_arrays(found, tmp_path, capsys):
    np.savez(tmp_path / "rows.npz", x=X[:5])
    words = ["predict", "outputs", str(tmp_path / "rows.npz")]
    words += ["--tracking-uri", found.store.location.uri]
    written = tmp_path / "out.npz"
    assert main([*words, "-o", str(written)]) == 0
    expected = found.model.predict(X[:5], verbose=0)
    with np.load(written) as arrays:
        assert sorted(arrays.files) == ["bright", "mask"]
        for name in arrays.files:
            np.testing.assert_allclose(arrays[name], expected[name], atol=1e-5)
    assert main([*words, "-o", str(tmp_path / "out.csv")]) == 2
    assert "-o out.npz" in capsys.readouterr().err


def test_a_server_answers_every_output_and_refuses_ragged_images(found):
    with open_model(found.store, find_model(found.store, "outputs")) as model:
        status, content = answer(model.folder, {"inputs": X[:3].tolist()})
        short = [*X[:2].tolist(), X[2, :5].tolist()]
        refused = answer(model.folder, {"inputs": short})
        outputs = model.served.metadata.get_output_schema()
    shapes = {spec.name: spec.shape for spec in outputs}
    assert shapes == {"mask": (-1, 6, 6, 1), "bright": (-1, 1)}
    assert status == 200, content
    expected = found.model.predict(X[:3], verbose=0)
    assert sorted(content["predictions"]) == ["bright", "mask"]
    for name, values in content["predictions"].items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)
    assert refused[0] == 400
    assert "row 2 has shape (5, 6, 1), row 0 has shape (6, 6, 1)" in str(refused[1])


def test_an_ensemble_of_a_custom_task_is_refused(found):
    context = SimpleNamespace(data=SimpleNamespace(task=Task.CUSTOM))
    ensembler = Ensembler(found.store, found.view, context, Listener())
    with pytest.raises(ExperimentError, match="which a custom task does not have"):
        ensembler.make()


def test_a_search_with_an_ensemble_of_a_custom_task_stops_before_its_trials(
    found, tmp_path
):
    experiment = ktune.Experiment(name="early", data=(X, TARGETS), build=build)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(ExperimentError, match="which a custom task does not have"):
        ktune.search(experiment, ensemble="greedy", tracking_uri=uri)
    assert not (tmp_path / "mlflow.db").exists()
