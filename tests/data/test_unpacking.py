"""Files that unpack to more than there is memory are refused before they fill it."""

import bz2
import gzip
from functools import partial

import numpy as np
import pandas as pd
import pytest

import ktune
from ktune.data import load_data
from ktune.data.keras_files import read_idx, read_npz
from ktune.errors import DataError
from ktune.models.prediction.reading import read_rows

ROWS = 30_000
CSV = "a,b,y\n" + "0,0,0\n0,0,1\n" * ROWS


def csv_gz(folder):
    path = folder / "bomb.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))
    return ktune.data.csv(path, target="y")


def csv_bz2(folder):
    path = folder / "bomb.csv.bz2"
    path.write_bytes(bz2.compress(CSV.encode()))
    return ktune.data.csv(path, target="y")


def parquet(folder):
    path = folder / "bomb.parquet"
    table = pd.DataFrame({name: np.arange(4 * ROWS) // (2 * ROWS) for name in "aby"})
    table.to_parquet(path)
    assert path.stat().st_size < 20_000
    return ktune.data.parquet(path, target="y")


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr("ktune.data.unpacking.memory_bytes", lambda: 500_000)
    monkeypatch.setattr("ktune.data.unpacking._CHUNK_BYTES", 10_000)


@pytest.mark.parametrize("make", [csv_gz, csv_bz2, parquet])
def test_a_table_that_would_fill_the_memory_is_refused(make, tmp_path, little_memory):
    with pytest.raises(DataError, match=r"bomb\..*unpacks to .* GiB or more"):
        load_data(make(tmp_path))


def test_images_that_would_fill_the_memory_are_refused(tmp_path, little_memory):
    idx, npz = tmp_path / "bomb-idx3-ubyte.gz", tmp_path / "bomb.npz"
    idx.write_bytes(gzip.compress(bytes([0, 0, 8, 1]) + bytes(10**6)))
    np.savez_compressed(npz, x_train=np.zeros(10**6, np.uint8))
    readers = (read_idx, idx), (read_npz, npz), (partial(read_rows, spec={}), npz)
    for read, path in readers:
        with pytest.raises(DataError, match=r"bomb.*unpacks to"):
            read(path)


def test_what_fits_is_read(tmp_path):
    for make in (csv_gz, csv_bz2, parquet):
        assert load_data(make(tmp_path)).n_rows >= 2 * ROWS
