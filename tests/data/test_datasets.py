"""Datasets of TensorFlow and Keras are read once into rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import ktune.data
from ktune.data import load_data
from ktune.data.dataset import Kind, Task
from ktune.errors import DataError

N = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype("float32")
Y = np.arange(N) % 2
SLICES = tf.data.Dataset.from_tensor_slices((X, Y))


class Own(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        rows = slice(index * 10, index * 10 + 10)
        return X[rows], Y[rows]


@pytest.mark.parametrize(
    "data",
    [
        SLICES,
        SLICES.batch(8),
        SLICES.batch(8).prefetch(2).cache(),
        SLICES.filter(lambda x, y: True).batch(7),
        SLICES.repeat().take(N),
        Own(),
        lambda: SLICES.batch(8),
        ktune.data.dataset(SLICES, name="mine"),
    ],
    ids=[
        "rows",
        "batches",
        "prefetched",
        "of unknown size",
        "cut",
        "own",
        "call",
        "as",
    ],
)
def test_all_rows_are_read_in_order(data):
    dataset = load_data(data)
    assert np.array_equal(dataset.x, X)
    assert np.array_equal(dataset.y, Y)
    assert (dataset.task, dataset.notes) == (Task.BINARY, ())
    assert dataset.digest == load_data((X, Y)).digest


def test_a_pair_brings_its_test_set():
    dataset = load_data((SLICES.batch(8), SLICES.take(4)))
    assert np.array_equal(dataset.x_test, X[:4])
    assert dataset.n_rows == N


def test_one_hot_targets_and_named_inputs_are_read():
    one_hot = np.eye(2)[Y]
    data = tf.data.Dataset.from_tensor_slices(({"a": X, "y": X[:, :1]}, one_hot))
    for form in (data, data.batch(9)):
        dataset = load_data(form)
        assert dataset.kind is Kind.SEVERAL
        assert np.array_equal(dataset.x["y"], X[:, :1])
        assert np.array_equal(dataset.y, Y)


class Shuffled(Own):
    def __getitem__(self, index):
        if index == 0:
            self.order = np.random.default_rng().permutation(N)
        rows = self.order[index * 10 : index * 10 + 10]
        return X[rows], Y[rows]


class Noisy(Own):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + np.random.default_rng().normal(size=x.shape), y


def test_a_shuffled_dataset_gives_the_same_rows_each_time():
    first, second = load_data(Shuffled()), load_data(Shuffled())
    assert first.digest == second.digest
    assert "another order at each reading" in first.notes[0]


def test_a_random_transformation_is_pointed_out():
    (note,) = load_data(Noisy()).notes
    assert "a transformation is random" in note


def test_a_folder_of_images_brings_its_class_names(tmp_path):
    for index in range(12):
        folder = tmp_path / ("cat" if index % 2 else "dog")
        folder.mkdir(exist_ok=True)
        pixels = np.full((6, 6, 3), 20 * index, "uint8")
        Image.fromarray(pixels).save(folder / f"{index}.png")
    data = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(6, 6), verbose=False
    )
    dataset = load_data(data)
    assert (dataset.kind, dataset.class_names) == (Kind.IMAGE, ("cat", "dog"))
    assert dataset.x.shape == (12, 6, 6, 3)


def test_weights_and_several_outputs_and_inputs_are_read():
    data = SLICES.map(lambda x, y: ((x, x[:2]), {"a": y, "b": x}, 2.0)).batch(8)
    dataset = load_data(data)
    assert list(dataset.x) == ["input_0", "input_1"]
    assert dataset.task is Task.CUSTOM
    assert {name: part.shape for name, part in dataset.y.parts.items()} == {
        "a": (len(X),),
        "b": X.shape,
    }
    assert dataset.weights.tolist() == [2.0] * len(X)


REFUSED = {
    "no end": (SLICES.repeat(), "no end"),
    "weights by output": (
        SLICES.map(lambda x, y: (x, y, {"a": 1.0})).batch(8),
        "weights for each output",
    ),
    "ragged rows": (
        tf.data.Dataset.from_tensor_slices(
            (tf.ragged.constant([[1.0, 2.0], [3.0]]), [0, 1])
        ).batch(2),
        "ragged tensors",
    ),
    "arrays as the test set": ((SLICES.batch(8), (X, Y)), "must both be datasets"),
    "a nest in a nest": (
        SLICES.map(lambda x, y: (x, {"a": {"b": y}})),
        "a nest in a nest",
    ),
    "no targets": (SLICES.map(lambda x, y: x), "features without targets"),
    "no rows": (SLICES.take(0), "is empty"),
    "rows of several shapes": (
        SLICES.map(lambda x, y: (tf.zeros((y + 1, 2)), y)),
        "rows have different shapes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_dataset_that_makes_no_rows_is_refused_with_the_line_that_works(case):
    data, told = REFUSED[case]
    with pytest.raises(DataError) as raised:
        load_data(data)
    assert told in str(raised.value)


def test_a_dataset_that_does_not_end_is_refused(monkeypatch):
    monkeypatch.setattr("ktune.data.batches.is_large", lambda n_bytes: n_bytes > 1000)

    def endless():
        while True:
            yield X[:5], Y[:5]

    spec = (tf.TensorSpec((None, 3)), tf.TensorSpec((None,), tf.int64))
    data = tf.data.Dataset.from_generator(endless, output_signature=spec)
    with pytest.raises(DataError, match=r"take\(n\)"):
        load_data(data)
    assert load_data(data.take(3)).n_rows == 15
