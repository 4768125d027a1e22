"""A table of numbers with images: both preprocessings go into the exported model."""

import numpy as np
import pandas as pd

from ktune.data.dataset import Kind
from ktune.data.preprocessing import fit_preprocessing
from ktune.models.export.preparing import prepare
from ktune.models.export.rows_file import read_rows_file, write_rows_file
from ktune.utils.runtime import import_keras

import_keras()

import keras  # noqa: E402
from keras import layers  # noqa: E402

RNG = np.random.default_rng(0)
ROWS = {
    "table": pd.DataFrame({"age": [3.0, np.nan, 5.0, 9.0], "size": [1, 2, 3, 4]}),
    "images": RNG.integers(0, 255, (4, 3, 3, 1), np.uint8),
}


def test_numbers_and_pixels_are_preprocessed_inside():
    fitted = fit_preprocessing(
        "auto", ROWS, np.zeros(4), np.arange(4), Kind.TABLE_AND_IMAGES
    )
    table = keras.Input((2,), name="table")
    images = keras.Input((3, 3, 1), name="images")
    both = layers.Concatenate()([table, layers.Flatten()(images)])
    model = keras.Model({"table": table, "images": images}, layers.Dense(2)(both))
    prepared = prepare(
        model=model,
        preprocessing=fitted,
        columns=["age", "size"],
        name="both",
        rows=ROWS,
        facts={},
    )
    assert prepared.reason == ""
    assert prepared.job.metadata["columns"] == ["age", "size"]
    found = prepared.job.model.predict(dict(prepared.job.example), verbose=0)
    wanted = model.predict(fitted.transform(ROWS), verbose=0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_rows_are_written_with_the_text_of_their_table(tmp_path):
    rows = {**ROWS, "table": ROWS["table"].assign(town=["Ulm", None, "a", "b"])}
    found = read_rows_file(write_rows_file(rows, tmp_path))
    pd.testing.assert_frame_equal(found["table"], rows["table"], check_dtype=False)
    np.testing.assert_array_equal(found["images"], rows["images"])
