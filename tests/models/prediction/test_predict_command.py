"""`ktune predict`, as a user types it, on models that stand in a store."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ktune.cli.main import main


@pytest.fixture
def table(here):
    return here.models["categories"].rows.iloc[:60]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_is_predicted_with_class_names_and_probabilities(
    here, table, tmp_path, ending, capsys
):
    data, output = tmp_path / f"new.{ending}", tmp_path / f"out.{ending}"
    # Other order, and a column the model does not know.
    shuffled = table[["town", "income", "job", "age"]].assign(remark="x")
    getattr(shuffled, f"to_{ending}")(data, index=False)
    assert main(["predict", "categories", str(data), "-o", str(output)]) == 0
    assert "not used by the model: 'remark'" in capsys.readouterr().err
    found = getattr(pd, f"read_{ending}")(output)
    wanted = here.models["categories"].predict(table)
    columns = [f"probability_class {k}" for k in range(3)]
    assert list(found.columns) == ["prediction", *columns]
    np.testing.assert_allclose(found[columns].to_numpy(), wanted, atol=2e-7)
    assert list(found["prediction"]) == [f"class {k}" for k in wanted.argmax(axis=1)]


def test_arrays_of_several_names_are_chosen_by_name(here, tmp_path, capsys):
    images = here.models["cnn"].rows[:30]
    data = tmp_path / "mine.npz"
    np.savez(data, x_train=images, x_test=images[:3])
    assert main(["predict", "cnn", str(data)]) == 2
    assert "--array x_test" in capsys.readouterr().err
    words = ["predict", "cnn@champion", str(data), "--array", "x_test", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "cnn/1"
    wanted = here.models["cnn"].predict(images[:3])
    got = [row["probability_class 4"] for row in found["predictions"]]
    np.testing.assert_allclose(got, wanted[:, 4], atol=2e-7)


def test_two_classes_are_decided_by_the_threshold_of_the_model():
    from ktune.data.dataset import Task
    from ktune.metrics.threshold import cut_at
    from ktune.models.prediction.outcome import name_predictions

    probabilities = np.array([0.1, 0.3, 0.9])
    found = name_predictions(
        probabilities, Task.BINARY, ("no", "yes"), chosen=cut_at(probabilities, 0.2)
    )
    assert found["prediction"] == ["no", "yes", "yes"]
    assert found["probability_yes"].tolist() == [0.1, 0.3, 0.9]


def test_rows_of_pixels_without_a_header_are_images_too(here, tmp_path):
    images = here.models["cnn"].rows[:30]
    data, output = tmp_path / "pixels.csv", tmp_path / "out.json"
    np.savetxt(data, images.reshape(30, -1), fmt="%d", delimiter=",")
    assert main(["predict", "cnn/1", str(data), "-o", str(output)]) == 0
    found = json.loads(output.read_text())
    wanted = here.models["cnn"].predict(images)
    assert [row["prediction"] for row in found] == [
        f"class {k}" for k in wanted.argmax(axis=1)
    ]


def test_a_folder_of_images_is_predicted_file_by_file(here, tmp_path, capsys):
    images = here.models["cnn"].rows[:4]
    folder = tmp_path / "scans"
    (folder / "deep").mkdir(parents=True)
    for index, image in enumerate(images[:3]):
        Image.fromarray(image).save(folder / f"{index}.png")
    large = Image.fromarray(images[3]).resize((16, 16), Image.Resampling.NEAREST)
    large.save(folder / "deep" / "large.png")
    output = tmp_path / "out.csv"
    assert main(["predict", "cnn", str(folder), "-o", str(output)]) == 0
    assert "resized to 8×8" in capsys.readouterr().err
    found = pd.read_csv(output)
    assert list(found["file"]) == ["0.png", "1.png", "2.png", "deep/large.png"]
    wanted = here.models["cnn"].predict(images[:3])
    got = found.filter(like="probability").to_numpy()[:3]
    np.testing.assert_allclose(got, wanted, atol=2e-7)


def test_the_terminal_shows_the_first_rows(here, table, tmp_path, capsys):
    table.to_csv(tmp_path / "new.csv", index=False)
    assert main(["predict", "categories", str(tmp_path / "new.csv")]) == 0
    out = capsys.readouterr().out
    assert "60 rows predicted by categories/1; 40 more rows: add -o FILE.csv" in out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda t: t.rename(columns={"income": "incone"}),
            "column 'income' is missing; it has 'incone' instead. The model takes: "
            "'age', 'job', 'income', 'town'. Did you mean 'incone'?",
        ),
        (
            lambda t: t.assign(job=["pilot", *t["job"][1:]]),
            "column 'job': 'pilot' (row 0) is none of the 3 categories the model knows",
        ),
        (
            lambda t: t.assign(job=[*t["job"][:-1], "nurze"]),
            "(row 59) is none of the 3 categories the model knows: 'cook', 'driver', "
            "'nurse'. Did you mean 'nurse'?",
        ),
        (
            lambda t: t.assign(age=["old", *t["age"][1:]]),
            "column 'age' must hold numbers; got 'old' (row 0)",
        ),
        (lambda t: t.iloc[:0], "has no rows"),
    ],
)
def test_wrong_tables_are_answered_with_one_message(
    here, table, tmp_path, capsys, change, told
):
    data, output = tmp_path / "new.csv", tmp_path / "out.csv"
    change(table).to_csv(data, index=False)
    assert main(["predict", "categories", str(data), "-o", str(output)]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "new.csv" in err
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_wrong_shapes_say_what_the_model_takes(here, tmp_path, capsys):
    np.save(tmp_path / "new.npy", np.zeros((5, 9, 9)))
    assert main(["predict", "cnn", str(tmp_path / "new.npy")]) == 2
    err = capsys.readouterr().err
    assert "rows have shape (9, 9); the model takes rows of shape (8, 8)" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cnm", "x.csv"], "Did you mean 'cnn'?"),
        (["cnn@champoin", "x.csv"], "Did you mean 'champion'?"),
        (["cnn/9", "x.csv"], "has no version '9'; it has 1"),
        (["cnn", "x.csv"], "there is no file 'x.csv'"),
        (["cnn", "mlruns/mlflow.db"], "rows are read from .csv, .xlsx, .parquet"),
        (["cnn", "mlruns/artifacts"], "there is no image in this folder"),
        (["categories", "mlruns"], "is a folder, but the model takes tables"),
        (["cnn", "x.csv", "-o", "out.xls"], "written as .csv, .parquet, .json"),
        (["cnn", "x.csv", "-o", "no/out.csv"], "there is no folder 'no'"),
        (["runs:/0/model", "x.csv"], "model runs:/0/model cannot be loaded"),
    ],
)
def test_mistakes_are_answered_before_anything_is_predicted(here, capsys, words, told):
    assert main(["predict", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_model_is_found_by_each_form_of_reference(here):
    from ktune.models.registry.reference import find_model

    forms = ["cnn", "cnn@champion", "cnn/1", "models:/cnn/1", "models:/cnn@champion"]
    assert {find_model(here.store, form).label for form in forms} == {"cnn/1"}
    logged = find_model(here.store, f"models:/{here.registered['cnn'].model_id}")
    assert logged.name == "cnn"
