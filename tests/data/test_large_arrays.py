"""Arrays too large for memory are mapped to a file, without other changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import ktune.data
from ktune.data import large_arrays, load_data
from ktune.data.dataset import Kind
from ktune.data.folds import split
from ktune.data.preprocessing import prepare_folds
from ktune.errors import DataError
from ktune.trainers.common import bytes_of


def is_mapped(array):
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(large_arrays, "memory_bytes", lambda: 800.0)
    monkeypatch.setattr(large_arrays, "_CHUNK_BYTES", 64)


@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    data=st.data(),
    memory=st.sampled_from([1.0, 1e12]),
)
def test_rows_are_taken_as_numpy_takes_them(shape, data, memory):
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    rows = np.array(
        data.draw(st.lists(st.integers(0, len(x) - 1), max_size=9)), dtype=int
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_arrays, "memory_bytes", lambda: memory)
        patch.setattr(large_arrays, "_CHUNK_BYTES", 8)
        taken = large_arrays.take(x, rows)
    np.testing.assert_array_equal(taken, x[rows])
    assert is_mapped(taken) == (memory == 1.0 and len(rows) > 0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_large_npz_is_mapped_and_holds_the_same_data(
    order, save, tmp_path, little_memory
):
    x = np.asarray(np.random.default_rng(1).normal(size=(60, 5)), order=order)
    save(tmp_path / "a.npz", x=x, y=np.arange(60) % 2)
    dataset = load_data(ktune.data.npz(tmp_path / "a.npz"))
    assert is_mapped(dataset.x)
    np.testing.assert_array_equal(dataset.x, x)
    assert dataset.digest == load_data((x, np.arange(60) % 2), name="a").digest


def test_a_large_npz_that_ends_too_early_is_explained(tmp_path, little_memory):
    np.savez(tmp_path / "a.npz", x=np.zeros((60, 5)), y=np.arange(60) % 2)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content.replace(b"(60, 5)", b"(61, 5)"))
    with pytest.raises(DataError, match="no readable npz"):
        load_data(ktune.data.npz(tmp_path / "a.npz"))


def test_a_large_npz_of_objects_is_refused(tmp_path, little_memory):
    x = np.array([[1], [2, 3]] * 40, dtype=object)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(80) % 2)
    with pytest.raises(DataError, match="Python objects"):
        load_data(ktune.data.npz(tmp_path / "a.npz"))


def test_images_of_a_large_folder_stay_mapped_until_they_are_trained_on(
    tmp_path, little_memory
):
    rng = np.random.default_rng(2)
    for number in range(40):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    dataset = load_data(ktune.data.image_folder(tmp_path, size=6))
    partition = split(dataset, cv=2, test_size=0.2, seed=0)
    fold = prepare_folds(partition, "auto", Kind.IMAGE)[0]
    assert all(map(is_mapped, (dataset.x, partition.x, fold.x)))
    assert bytes_of(fold.x) == 32 * 6 * 6 * 3 * 4
    expected = dataset.x[partition.rows].astype(np.float32) * np.float32(1 / 255)
    np.testing.assert_array_equal(fold.x, expected)


def test_small_arrays_stay_in_memory():
    assert not is_mapped(large_arrays.empty((10, 10), np.float32))


def test_an_empty_disk_share_names_the_remedy(monkeypatch, little_memory):
    def refuse(file, offset, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(large_arrays.os, "posix_fallocate", refuse, raising=False)
    with pytest.raises(DataError, match=r"No space left on device.*TMPDIR"):
        large_arrays.empty((1000,), np.float64)
