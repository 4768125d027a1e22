"""Files of new rows are read like the training file, or as options state."""

import pandas as pd
import pytest

import ktune.data
from ktune.data import load_data
from ktune.data.table_transformer import text_columns
from ktune.errors import DataError
from ktune.models.prediction.fitting import load_rows

ROWS = [(i * 0.25, f"{'äöü'[i % 3]}", i % 2) for i in range(40)]


def spec_of(dataset):
    """What a registered version knows of its table."""
    return {
        "columns": list(dataset.x.columns),
        "text_columns": text_columns(dataset.x),
        "input_names": [],
        "reading": dataset.reading,
    }


@pytest.fixture
def trained(tmp_path):
    def train(line_1, separator=",", written="utf-8", decimal=".", **options):
        lines = [
            separator.join([str(number).replace(".", decimal), word, str(label)])
            for number, word, label in ROWS
        ]
        text = "\n".join([separator.join(line_1)] * bool(line_1) + lines)
        path = tmp_path / "train.csv"
        path.write_text(text, written)
        return spec_of(load_data(ktune.data.csv(path, **options)))

    return train


def predicted(tmp_path, spec, content, ending=".csv", **written):
    path = tmp_path / f"new{ending}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_rows(path, spec, None, written).rows.to_dict("list")


def test_columns_named_by_numbers_are_no_row(trained, tmp_path):
    spec = trained(["0", "1", "y"], target="y")
    rows = predicted(tmp_path, spec, "0,1\n0.5,ä\n0.75,ö\n")
    assert rows == {"0": [0.5, 0.75], "1": ["ä", "ö"]}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig", "utf-16"])
def test_the_form_of_the_training_file_is_enough(trained, tmp_path, encoding):
    header = ["größe", "farbe", "kauft"]
    spec = trained(header, ";", "latin-1", ",", target="kauft", encoding="latin-1")
    content = "größe;farbe\n0,5;ä\n7;ö\n".encode(encoding)
    rows = predicted(tmp_path, spec, content)
    assert rows == {"größe": [0.5, 7.0], "farbe": ["ä", "ö"]}


def test_a_file_without_header_is_read_by_position(trained, tmp_path):
    spec = trained((), target=2, header=None)
    assert predicted(tmp_path, spec, "0.5,ä\n") == {"0": [0.5], "1": ["ä"]}
    # With the target, as the training file has it; the model takes its columns.
    assert predicted(tmp_path, spec, "0.5,ä,1\n") == {"0": [0.5], "1": ["ä"]}
    assert predicted(tmp_path, spec, "1,0\nä,0.5\n", header=True) == {
        "0": [0.5],
        "1": ["ä"],
    }


def test_named_columns_are_found_in_a_file_with_header(trained, tmp_path):
    spec = trained((), target="y", names=["a", "b", "y"])
    assert predicted(tmp_path, spec, "b,a\nä,0.5\n") == {"a": [0.5], "b": ["ä"]}
    assert predicted(tmp_path, spec, "0.5,ä\n") == {"a": [0.5], "b": ["ä"]}


@pytest.mark.parametrize(
    ("content", "written", "told"),
    [
        ("a,b\n0.5,ä\n", {}, "Then say separator=','"),
        ("a;b\n0.5;ä\n", {}, "column 'a' must hold numbers; got '0.5' (row 0)"),
        ("a;b\n?;ä\nx;ö\n", {}, "column 'a' must hold numbers; got 'x' (row 1)"),
        ("0,5;3\n1,5;3\n", {}, "for predict: --no-header"),
    ],
)
def test_another_form_is_refused_until_it_is_stated(
    trained, tmp_path, content, written, told
):
    spec = trained(["a", "b", "y"], ";", decimal=",", target="y")
    with pytest.raises(DataError) as raised:
        predicted(tmp_path, spec, content)
    assert told in str(raised.value)


def test_options_state_another_form(trained, tmp_path):
    spec = trained(["a", "b", "y"], ";", decimal=",", target="y")
    how = {"separator": "\t", "decimal": ".", "missing": ["gone"]}
    rows = predicted(tmp_path, spec, "a\tb\n0.5\tä\ngone\t?\n", **how)
    assert rows["a"][0] == 0.5
    assert pd.isna(rows["a"][1])
    rows = predicted(tmp_path, spec, "0,5;ä\n", ending=".txt", header=False)
    assert rows == {"a": [0.5], "b": ["ä"]}


def test_a_single_row_with_a_mark_is_a_missing_number(trained, tmp_path):
    spec = trained(["a", "b", "y"], target="y")
    rows = predicted(tmp_path, spec, "a,b\n?,ä\n")
    assert pd.isna(rows["a"][0])


def test_a_version_of_before_reads_as_before(tmp_path):
    spec = {"columns": ["a", "b"], "text_columns": ["b"], "input_names": []}
    rows = predicted(tmp_path, spec, "b,a,c\nx,0.5,1\n")
    assert rows == {"a": [0.5], "b": ["x"]}
    # Columns of a DataFrame that was made of an array have no other names.
    spec = {"columns": ["0", "1"], "text_columns": [], "input_names": []}
    assert predicted(tmp_path, spec, "0.5,7\n0.75,8\n") == {
        "0": [0.5, 0.75],
        "1": [7, 8],
    }


@pytest.mark.parametrize("line", ["0,1\n", "p,q\n", ""])
def test_arrays_are_read_with_and_without_header(tmp_path, line):
    spec = {"columns": [], "text_columns": [], "input_names": [], "input_shape": [2]}
    path = tmp_path / "new.csv"
    path.write_text(f"{line}0.5,7\n0.75,8\n")
    assert load_rows(path, spec, None).rows.tolist() == [[0.5, 7], [0.75, 8]]
