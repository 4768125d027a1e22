import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest

import ktune.data
import ktune.data.fashion_mnist_source
from ktune.data import keras_files
from ktune.data.dataset import Kind, Task
from ktune.errors import DataError

FULL = Path(
    os.environ.get("KTUNE_DATA_DIR") or Path(__file__).parents[2] / "../shared/data"
)


@pytest.fixture(autouse=True)
def nothing_there(monkeypatch, tmp_path):
    """A machine without data and without internet."""
    monkeypatch.delenv("KTUNE_DATA_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(keras_files, "can_reach", lambda url: False)
    monkeypatch.setattr(
        ktune.data.fashion_mnist_source, "DEBIAN_FOLDER", tmp_path / "debian"
    )


def images(seed=0):
    random = np.random.default_rng(seed)
    return {
        "x_train": random.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        "y_train": np.arange(40, dtype=np.uint8) % 10,
        "x_test": random.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "y_test": np.arange(20, dtype=np.uint8) % 10,
    }


def write_idx(folder, *, packed):
    folder.mkdir(parents=True)
    named = zip(images().values(), keras_files._IDX_NAMES, strict=True)
    for array, name in named:
        content = bytes([0, 0, 8, array.ndim])
        content += np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)


def test_the_named_folder_is_searched_first(tmp_path, monkeypatch):
    np.savez(tmp_path / "mnist.npz", **images(seed=1))
    (tmp_path / "keras/datasets").mkdir(parents=True)
    np.savez(tmp_path / "keras/datasets/mnist.npz", **images(seed=2))

    cached = ktune.data.mnist().load()
    monkeypatch.setenv("KTUNE_DATA_DIR", str(tmp_path))
    named = ktune.data.mnist().load()

    assert np.array_equal(named.x, images(seed=1)["x_train"])
    assert np.array_equal(cached.x, images(seed=2)["x_train"])
    assert named.name == cached.name == "mnist"
    assert (named.kind, named.task) == (Kind.IMAGE, Task.MULTICLASS)
    assert named.class_names == tuple("0123456789")
    assert named.x_test.shape == (20, 28, 28)


def test_the_file_in_the_cache_of_keras_survives(tmp_path):
    path = tmp_path / "keras/datasets/mnist.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **images())
    ktune.data.mnist().load()
    assert path.is_file()


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_read(tmp_path, monkeypatch, packed):
    write_idx(tmp_path / "fashion-mnist", packed=packed)
    monkeypatch.setenv("KTUNE_DATA_DIR", str(tmp_path))
    dataset = ktune.data.fashion_mnist().load()
    assert np.array_equal(dataset.x, images()["x_train"])
    assert dataset.y_test.tolist() == images()["y_test"].tolist()
    assert dataset.class_names[9] == "Ankle boot"


def test_without_any_source_mnist_is_a_real_sample_with_a_warning(caplog):
    dataset = ktune.data.mnist().load()
    assert dataset.name == "mnist-5k"
    assert dataset.x.shape == (5000, 28, 28)
    assert dataset.x.dtype == np.uint8
    assert np.bincount(dataset.y).tolist() == [500] * 10
    assert dataset.x_test is None
    [record] = caplog.records
    assert record.name.startswith("ktune")
    assert "mnist-5k" in record.getMessage()


def test_without_any_source_fashion_mnist_says_what_to_do():
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        ktune.data.fashion_mnist().load()


def test_a_named_folder_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("KTUNE_DATA_DIR", "/nowhere")
    with pytest.raises(DataError, match="KTUNE_DATA_DIR names '/nowhere'"):
        ktune.data.mnist().load()


def write_garbage(path):
    path.write_bytes(b"no npz")


def write_half(path):
    np.savez(path, x_train=images()["x_train"])


def write_wrong_shape(path):
    np.savez(path, **{**images(), "x_train": np.zeros((40, 784), dtype=np.uint8)})


def write_pickle(path):
    np.savez(path, **{**images(), "y_train": np.array([{}] * 40, dtype=object)})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_garbage, "no readable npz"),
        (write_half, "y_train"),
        (write_wrong_shape, r"got \(40, 784\)"),
        (write_pickle, "no readable npz file .*pickle"),
    ],
)
def test_a_damaged_file_is_named_and_never_replaced(
    tmp_path, monkeypatch, write, message
):
    monkeypatch.setenv("KTUNE_DATA_DIR", str(tmp_path))
    write(tmp_path / "mnist.npz")
    with pytest.raises(DataError, match=message) as caught:
        ktune.data.mnist().load()
    assert "mnist.npz" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08\3", b"no idx", b"\0\0\x08\1\0\0\0\5"]
)
def test_a_damaged_idx_file_is_named(tmp_path, content):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match="train-images-idx3-ubyte: no readable IDX"):
        keras_files.read_idx(path)


def test_a_missing_idx_file_is_named(tmp_path, monkeypatch):
    write_idx(tmp_path / "mnist", packed=True)
    (tmp_path / "mnist/t10k-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setenv("KTUNE_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="there is no t10k-labels-idx1-ubyte"):
        ktune.data.mnist().load()


def test_a_server_that_never_answers_is_given_up_soon(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(keras_files, "_answers", lambda url, seconds: time.sleep(30))
    start = time.monotonic()
    assert not keras_files.can_reach("https://example.org", seconds=0.2)
    assert time.monotonic() - start < 2


def test_full_mnist_has_seventy_thousand_images(monkeypatch):
    if not (FULL / "mnist.npz").is_file():
        pytest.skip("full MNIST is not here: name its folder in KTUNE_DATA_DIR")
    monkeypatch.setenv("KTUNE_DATA_DIR", str(FULL))
    dataset = ktune.data.mnist().load()
    assert dataset.x.shape == (60_000, 28, 28)
    assert dataset.x_test.shape == (10_000, 28, 28)
    assert dataset.x.mean() / 255 == pytest.approx(0.1307, abs=1e-4)


def test_debian_fashion_mnist_has_seventy_thousand_images(monkeypatch):
    folder = Path("/usr/share/datasets")
    if not (folder / "fashion-mnist").is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    monkeypatch.setattr(ktune.data.fashion_mnist_source, "DEBIAN_FOLDER", folder)
    dataset = ktune.data.fashion_mnist().load()
    assert dataset.x.shape == (60_000, 28, 28)
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10
