"""A table with images beside it, from the search to predictions elsewhere."""

import base64
import json
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from PIL import Image
from scoring import answer

import ktune
from ktune.cli.main import main
from ktune.data import load_data
from ktune.data.dataset import take_rows
from ktune.listener import Listener
from ktune.models.registry.reference import find_model
from ktune.models.registry.stored_model import open_model
from ktune.tuner.reproduction.comparison import Sameness

pytestmark = pytest.mark.slow

N, NAME = 40, "shop"


def build(hp, data):
    shapes = data.input_shape
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    image = layers.Conv2D(hp.Int("filters", 2, 4), 3)(inputs["images"])
    seen = layers.GlobalAveragePooling2D()(image)
    hidden = layers.Concatenate()([inputs["table"], seen])
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(keras.optimizers.Adam(0.05), loss="binary_crossentropy")
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    (folder / "photos").mkdir()
    for row in range(N):
        pixels = rng.integers(0, 255, (9, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{row}.png")
    table = pd.DataFrame(
        {
            "price": np.where(np.arange(N) % 7, rng.normal(50, 9, N), np.nan),
            "town": rng.choice(["Ulm", "Bonn"], N),
            "photo": [f"photos/{row}.png" for row in range(N)],
            "sold": np.where(np.arange(N) % 2, "yes", "no"),
        }
    )
    table.to_csv(folder / "shop.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    images = ktune.data.ImageColumn("photo", size=(6, 8))
    experiment = ktune.Experiment(
        name=NAME,
        data=ktune.data.csv(folder / "shop.csv", target="sold", images=images),
        build=build,
        sampler="random",
        fit={"epochs": 2},
        cv=2,
        trials=1,
    )
    uri = f"sqlite:///{folder}/mlflow.db"
    result = ktune.search(experiment, tracking_uri=uri, listener=Listener())
    return SimpleNamespace(experiment=experiment, result=result)


@pytest.fixture
def model_folder(found):
    store = found.result.store
    with open_model(store, find_model(store, NAME)) as model:
        yield model.folder


def raw(folder, n=5):
    return pd.read_csv(folder / "shop.csv").head(n)


def expected(found, folder, n=5):
    images = ktune.data.ImageColumn("photo", size=(6, 8))
    source = ktune.data.csv(folder / "shop.csv", target="sold", images=images)
    x = take_rows(load_data(source).x, np.arange(n))
    fitted = found.result._fitted
    return fitted.model.predict(fitted.preprocessing.transform(x), verbose=0)


def test_a_csv_file_of_new_rows_names_their_images(found, folder, tmp_path, capsys):
    raw(folder).drop(columns="sold").to_csv(folder / "new.csv", index=False)
    words = ["predict", NAME, str(folder / "new.csv")]
    words += ["--tracking-uri", found.result.store.location.uri]
    written = tmp_path / "out.csv"
    assert main([*words, "-o", str(written)]) == 0
    np.testing.assert_allclose(
        pd.read_csv(written)["probability_yes"],
        expected(found, folder).ravel(),
        atol=1e-5,
    )
    (folder / "bad.csv").write_text("price,town,photo\n1,Ulm,photos/none.png\n")
    words[2] = str(folder / "bad.csv")
    assert main(words) == 2
    assert "row 0: 'photos/none.png' not readable" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_server_takes_images_as_base64_text_and_as_arrays(
    found, folder, model_folder
):
    contents = [folder / photo for photo in raw(folder)["photo"]]
    texts = [base64.b64encode(path.read_bytes()).decode() for path in contents]
    arrays = [
        np.asarray(Image.open(path).resize((8, 6), Image.Resampling.BILINEAR)).tolist()
        for path in contents
    ]
    for images in (texts, arrays):
        table = raw(folder)[["price", "town"]].astype(object)
        table = table.where(table.notna(), None).assign(images=images)
        status, found_here = answer(
            model_folder, {"dataframe_split": table.to_dict(orient="split")}
        )
        assert status == 200, found_here
        np.testing.assert_allclose(
            found_here["predictions"], expected(found, folder), atol=1e-5
        )


@pytest.mark.parametrize("image", ["photos/1.png", [[1, 2]], None, "aGVsbG8="])
def test_a_server_says_how_images_are_given(found, model_folder, image):
    row = {"price": 1.0, "town": "Ulm", "images": image}
    status, content = answer(model_folder, {"dataframe_records": [row]})
    assert status == 400
    message = json.dumps(content)
    assert "base64" in message
    assert "shape (6, 8, 3)" in message


def test_the_recorded_example_is_a_request(found, model_folder):
    example = json.loads((model_folder / "serving_input_example.json").read_text())
    status, content = answer(model_folder, example)
    assert status == 200
    assert len(content["predictions"]) == 5


def test_an_exported_model_agrees(found, tmp_path):
    words = ["export", NAME, "--to", "keras", "-o", str(tmp_path / "out")]
    assert main([*words, "--tracking-uri", found.result.store.location.uri]) == 0
    report = json.loads((tmp_path / "out" / "export.json").read_text())
    assert set(report["metadata"]["inputs"]) == {"table", "images"}
    assert "categories" in report["not_inside"]


def test_the_search_is_reproduced_bit_by_bit(found):
    again = ktune.reproduce(
        NAME,
        experiment=found.experiment,
        tracking_uri=found.result.store.location.uri,
    )
    assert again.sameness is Sameness.IDENTICAL, again.comparisons
