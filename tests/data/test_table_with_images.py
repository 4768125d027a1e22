"""Tables with the path of an image in each row."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import ktune.data
from ktune.data import load_data
from ktune.data.dataset import Kind, Task
from ktune.data.folds import Fold, Partition
from ktune.data.preprocessing import prepare_folds
from ktune.errors import DataError

N = 12


def table_of(n=N):
    return pd.DataFrame(
        {
            "age": np.arange(n, dtype=float),
            "town": ["Ulm", "Bonn", None] * (n // 3),
            "photo": [f"photos/{row}.png" for row in range(n)],
            "label": ["no", "yes"] * (n // 2),
        }
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    for row in range(N):
        image = Image.new("RGB", (12, 10), (row * 20, 0, 0))
        image.save(tmp_path / "photos" / f"{row}.png")
    table_of().to_csv(tmp_path / "people.csv", index=False)
    return tmp_path


def column(**changes):
    return ktune.data.ImageColumn("photo", **{"size": (4, 6), **changes})


def test_a_csv_file_with_a_column_of_paths_has_two_inputs(folder):
    source = ktune.data.csv(folder / "people.csv", target="label", images=column())
    dataset = load_data(source)
    assert (dataset.kind, dataset.task) == (Kind.TABLE_AND_IMAGES, Task.BINARY)
    assert list(dataset.x) == ["table", "images"]
    assert list(dataset.x["table"].columns) == ["age", "town"]
    assert dataset.feature_names == ("age", "town")
    assert dataset.x["images"].shape == (N, 4, 6, 3)
    assert dataset.x["images"][5, 0, 0].tolist() == [100, 0, 0]
    assert "an image of 4×6×3 in each row" in dataset.notes[0]
    assert dataset.reading["image_column"] == "photo"
    assert dataset.reading["separator"] == ","


def test_the_name_of_the_column_alone_takes_the_usual_size(folder):
    dataset = load_data(
        ktune.data.csv(folder / "people.csv", target="label", images="photo")
    )
    assert dataset.x["images"].shape == (N, 128, 128, 3)


def test_paths_of_a_frame_are_below_a_named_folder(folder):
    source = ktune.data.table(
        table_of(), target="label", images=column(folder=folder, greyscale=True)
    )
    assert load_data(source).x["images"].shape == (N, 4, 6, 1)


def test_a_test_table_has_images_below_its_own_folder(folder):
    (folder / "later" / "photos").mkdir(parents=True)
    for row in range(3):
        Image.new("RGB", (4, 4), (0, 9, 0)).save(
            folder / "later" / "photos" / f"{row}.png"
        )
    table_of().head(3).to_csv(folder / "later" / "test.csv", index=False)
    source = ktune.data.csv(
        folder / "people.csv",
        target="label",
        test=folder / "later" / "test.csv",
        images=column(),
    )
    assert (load_data(source).x_test["images"][..., 1] == 9).all()


def test_the_digest_depends_on_the_table_and_on_the_images(folder):
    def digest(frame):
        source = ktune.data.table(frame, target="label", images=column(folder=folder))
        return load_data(source).digest

    before = digest(table_of())
    assert digest(table_of()) == before
    assert digest(table_of().assign(age=1.0)) != before
    Image.new("RGB", (12, 10), (1, 2, 3)).save(folder / "photos" / "0.png")
    assert digest(table_of()) != before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", r"row 3: 'photos/3.png' not readable \(No such file"),
        ("broken", r"row 3: 'photos/3.png' damaged: no image.*Relative paths"),
        ("empty", "column 'photo' has no path in row 3"),
        ("number", "column 'photo' has 7 in row 3"),
        ("column", "there is no column 'photos'.*Did you mean 'photo'"),
        ("size", "images: size must be"),
        ("name", "a feature of the table is called 'images'"),
    ],
)
def test_images_that_cannot_be_read_are_refused_with_row_and_file(
    folder, damage, message
):
    frame, images = table_of().astype({"photo": object}), column(folder=folder)
    if damage == "missing":
        (folder / "photos" / "3.png").unlink()
    elif damage == "broken":
        (folder / "photos" / "3.png").write_bytes(b"no image")
    elif damage in ("empty", "number"):
        frame.loc[3, "photo"] = None if damage == "empty" else 7
    elif damage == "column":
        images = "photos"
    elif damage == "size":
        images = column(size=0)
    else:
        frame = frame.rename(columns={"age": "images"})
    with pytest.raises(DataError, match=f"(?s){message}"):
        load_data(ktune.data.table(frame, target="label", images=images))


def test_folds_fit_the_table_on_their_training_rows_and_share_the_images(folder):
    dataset = load_data(
        ktune.data.table(table_of(), target="label", images=column(folder=folder))
    )
    rows = np.arange(N)
    folds = tuple(Fold(k, rows[rows % 2 != k], rows[rows % 2 == k]) for k in range(2))
    partition = Partition(dataset.x, dataset.y, folds, rows)
    first, second = prepare_folds(partition, "auto", dataset.kind)
    assert first.x["table"].shape == (N, 4)  # age; Bonn, Ulm, missing
    for fold in (first, second):
        assert abs(fold.x["table"][fold.train, 0].mean()) < 1e-6
    assert first.x["images"] is second.x["images"]
    assert first.x["images"].dtype == np.float32
    assert float(first.x["images"].max()) == pytest.approx(220 / 255)


def test_other_inputs_than_a_table_and_images_are_refused():
    x = {"table": np.zeros((4, 2)), "images": np.zeros((4, 3, 3, 1))}
    with pytest.raises(DataError, match="needs a dict of 'table', a DataFrame"):
        load_data(ktune.data.arrays(x, [0, 1, 0, 1], kind="table_and_images"))
