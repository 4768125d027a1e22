"""Tables in files, npz files and sequences: read right, or explained."""

import gzip
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ktune.data
from ktune.data import load_data
from ktune.data.dataset import Kind, Task
from ktune.data.folds import split
from ktune.errors import DataError

FRAME = pd.DataFrame(
    {
        "age": [31.5, 40.0, np.nan, 22.0, 55.0, 61.0, 47.0, 29.0],
        "city": ["Graz", "Linz", None, "Graz", "Wien", "Linz", "Wien", "Graz"],
        "smokes": [True, False, True, False, True, False, True, False],
        "patient": list("aabbccdd"),
        "seen": pd.date_range("2026-01-08", periods=8)[::-1],
        "label": ["ill", "well"] * 4,
    }
)


@pytest.fixture
def path(tmp_path):
    FRAME.to_csv(tmp_path / "people.csv", index=False)
    return tmp_path / "people.csv"


def test_a_csv_is_read_and_said_what_it_was_taken_for(path):
    source = ktune.data.csv(path, target="label", groups="patient", drop=["seen"])
    dataset = load_data(source)
    assert (dataset.name, dataset.task) == ("people.csv", Task.BINARY)
    assert dataset.class_names == ("ill", "well")
    assert dataset.feature_names == ("age", "city", "smokes")
    assert dataset.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert np.isnan(dataset.x["age"][2])
    assert dataset.x["city"][2] is None
    note, missing = dataset.notes
    assert missing == "people.csv: missing values: age 1, city 1."
    assert "8 rows" in note
    assert "target 'label': binary, 2 classes 'ill', 'well'" in note
    assert "2 columns of numbers (age, smokes), 1 of categories (city: 3)" in note


def test_packed_and_parquet_files_hold_the_same_data(path, tmp_path):
    packed = tmp_path / "people.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    FRAME.to_parquet(tmp_path / "people.parquet")
    options = {"target": "label", "drop": ["seen"], "groups": "patient"}
    digests = {
        load_data(source).digest
        for source in (
            ktune.data.csv(path, **options),
            ktune.data.csv(packed, **options),
            ktune.data.parquet(tmp_path / "people.parquet", **options),
        )
    }
    assert len(digests) == 1


def test_the_digest_of_a_file_is_the_same_in_another_process(path):
    code = (
        f"import ktune.data; print(ktune.data.csv({str(path)!r}, target='label', "
        "drop=['seen']).load().digest)"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    here = ktune.data.csv(path, target="label", drop=["seen"])
    assert there.stdout.strip() == load_data(here).digest
    assert load_data(pickle.loads(pickle.dumps(here))).n_rows == 8


def test_time_puts_the_newest_rows_into_the_test_set(path):
    source = ktune.data.csv(path, target="label", time="seen", drop=["patient"])
    dataset = load_data(source)
    assert dataset.x["age"].tolist()[::-1][0] == 31.5  # the file begins with the newest
    partition = split(dataset, cv=2, test_size=0.25, seed=0)
    assert partition.test_rows.tolist() == [6, 7]
    for fold in partition.folds:
        assert fold.train.max() < fold.validation.min()


@given(
    numbers=st.lists(
        st.floats(allow_nan=False, allow_infinity=False, width=64),
        min_size=4,
        max_size=20,
    )
)
def test_numbers_come_out_of_a_csv_as_they_went_in(numbers, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    frame = pd.DataFrame({"a": numbers, "y": ([0, 1] * len(numbers))[: len(numbers)]})
    frame.to_csv(path, index=False)
    read = load_data(ktune.data.csv(path, target="y"))
    assert read.x["a"].tolist() == numbers


def test_a_number_after_many_whole_ones_makes_a_column_of_numbers(tmp_path):
    rows = "".join(f"{i},{i % 2}\n" for i in range(200_000))
    (tmp_path / "long.csv").write_text(f"a,y\n{rows}0.5,1\n")
    dataset = load_data(ktune.data.csv(tmp_path / "long.csv", target="y"))
    assert dataset.x["a"].iloc[-1] == 0.5


CSV_MISTAKES = {
    "no file": (None, {}, "no such file"),
    "a misspelt file": (None, {"path": "peple.csv"}, "Did you mean 'people.csv'?"),
    "a wrong column": ("a,label\n1,0\n2,1\n", {"target": "lable"}, "'label'?"),
    "a wrong group": ("a,y\n1,0\n2,1\n", {"groups": "b"}, "no column 'b'"),
    "a short row": ("a,b,y\n1,2,0\n1,2\n3,4,1\n", {}, "row 3: it has 2 values where"),
    "a long row": ("a,y\n1,0\n1,2,3\n", {}, "1 ragged row, first row 3"),
    "an empty file": ("", {}, "empty"),
    "no rows": ("a,y\n", {}, "0 rows"),
    "missing targets": ("a,y\n1,0\n2,\n3,1\n", {}, "targets are missing"),
    "infinite targets": ("a,y\n1,0.5\n2,inf\n3,1\n", {}, "targets are infinite"),
    "infinite numbers": ("a,y\n1,0\n-inf,1\n", {}, "column 'a' is infinite"),
    "one class": ("a,y\n1,0\n2,0\n", {}, "single class"),
    "duplicate columns": ("a,a,y\n1,2,0\n1,2,1\n", {}, "'a' occurs 2 times"),
    "an index column": (",a,y\n0,2,0\n1,2,1\n", {}, "index=False"),
    "dates": ("a,y\n2026-01-01,0\n2026-01-02,1\n", {}, "dates"),
    "another separator": (
        "a;y\n1;0\n2;1\n",
        {"separator": ","},
        "separator=';'",
    ),
    "another encoding": (b"a,y\n\xe4,0\n\xf6,1\n", {}, "encoding='latin-1'"),
    "text as a number": (
        "a,y\n1,low\n2,high\n",
        {"task": "regression"},
        "must be numbers",
    ),
    "text as time": ("a,t,y\n1,soon,0\n2,late,1\n", {"time": "t"}, "numbers or dates"),
}


@pytest.mark.parametrize("case", CSV_MISTAKES)
def test_a_malformed_csv_is_explained(case, tmp_path):
    content, options, message = CSV_MISTAKES[case]
    (tmp_path / "people.csv").write_text("a,y\n1,0\n")
    name = options.pop("path", "people.csv") if content is None else "given.csv"
    if content is not None:
        given = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(given)
    elif name == "people.csv":
        name = "elsewhere/zzz.csv"
    source = ktune.data.csv(tmp_path / name, **{"target": "y", **options})
    with pytest.raises(DataError, match=None) as caught:
        load_data(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"x\.parquet: no readable parquet file"):
        load_data(ktune.data.parquet(tmp_path / "x.parquet", target="y"))


def test_a_path_as_data_is_answered_with_its_source(path):
    with pytest.raises(DataError, match=r"ktune\.data\.csv\("):
        load_data(str(path))


X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)


def test_npz_arrays_are_found_by_their_usual_names(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    np.savez_compressed(tmp_path / "b.npz", features=X.astype(">f8"), labels=Y, who=Y)
    first = load_data(ktune.data.npz(tmp_path / "a.npz"))
    assert first.x_test.shape == (2, 2)
    source = ktune.data.npz(tmp_path / "b.npz", x="features", y="labels", groups="who")
    second = load_data(source)
    assert second.x_test is None
    assert second.groups is not None
    assert np.array_equal(second.x, first.x)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"a": X, "b": Y}, {}, "no arrays x and y"),
        ({"x": X, "y": Y}, {"x": "xx", "y": "y"}, "Did you mean 'x'?"),
        ({"x": X, "y": Y}, {"x": "x"}, "which array holds y"),
        ({"x": np.array([[1], [2, 3]], dtype=object), "y": Y}, {}, "Python objects"),
        ({"x": X + np.inf, "y": Y}, {}, "inf"),
    ],
)
def test_a_malformed_npz_is_explained(arrays, options, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError) as caught:
        load_data(ktune.data.npz(tmp_path / "a.npz", **options))
    assert message in str(caught.value)


def test_an_npz_that_is_none_or_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match="no readable npz"):
        load_data(ktune.data.npz(tmp_path / "a.npz"))
    np.savez_compressed(tmp_path / "b.npz", x=np.zeros((10_000, 100)), y=Y)
    assert zipfile.ZipFile(tmp_path / "b.npz").getinfo("x.npy").compress_size < 20_000
    monkeypatch.setattr("ktune.data.large_arrays.memory_bytes", lambda: 1e6)
    full = shutil.disk_usage("/")._replace(free=10**6)
    monkeypatch.setattr(
        "ktune.data.large_arrays.shutil.disk_usage", lambda folder: full
    )
    with pytest.raises(DataError, match="no room: it would take more than half"):
        load_data(ktune.data.npz(tmp_path / "b.npz"))


@pytest.mark.parametrize(
    ("padding", "first", "long"),
    [("pre", [0, 0, 1, 2], [4, 5, 6, 7]), ("post", [1, 2, 0, 0], [3, 4, 5, 6])],
)
def test_sequences_are_padded_and_cut(padding, first, long):
    rows = [[1, 2], [3, 4, 5, 6, 7], [8]]
    source = ktune.data.sequence(rows, [0, 1, 1], length=4, padding=padding)
    dataset = load_data(source)
    assert dataset.kind is Kind.SEQUENCE
    assert dataset.x[0].tolist() == first
    assert dataset.x[1].tolist() == long


@given(lengths=st.lists(st.integers(0, 9), min_size=2, max_size=8).filter(any))
def test_a_sequence_can_be_read_back_from_its_padding(lengths):
    rows = [np.arange(1.0, 1 + 2 * n).reshape(n, 2) for n in lengths]
    y = np.arange(len(rows)) % 2
    dataset = load_data(ktune.data.sequence(rows, y, task="multiclass"))
    assert dataset.x.shape == (len(rows), max(lengths), 2)
    for padded, row in zip(dataset.x, rows, strict=True):
        assert np.array_equal(padded[len(padded) - len(row) :], row)
        assert not padded[: len(padded) - len(row)].any()


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "no sequences"),
        ([[], []], {}, "empty"),
        ([[[1, 2], [3]], [[1, 2]]], {}, "sequence 0 is ragged"),
        ([[[1, 2]], [[1, 2, 3]]], {}, "step of sequence 1 has shape (3,)"),
        ([["a", "b"], ["c"]], {}, "Number the tokens"),
        ([[1], [2]], {"padding": "front"}, "'pre' or 'post'"),
        ([[1], [2]], {"length": 0}, "at least 1"),
        ([[1.0], [np.nan]], {}, "NaN"),
    ],
)
def test_malformed_sequences_are_explained(rows, options, message):
    with pytest.raises(DataError) as caught:
        load_data(ktune.data.sequence(rows, [0, 1], task="binary", **options))
    assert message in str(caught.value)
