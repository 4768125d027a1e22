"""Sheets of workbooks are read like csv files."""

import datetime

import numpy as np
import pandas as pd
import pytest

import ktune.data
from ktune.data import load_data
from ktune.errors import DataError
from ktune.models.prediction.fitting import load_rows

pytest.importorskip("python_calamine")
pytest.importorskip("openpyxl")  # it writes the workbooks of these tests

N = 20
SHEET = pd.DataFrame(
    {
        "größe": [i * 0.5 for i in range(N)],
        "count": range(N),
        "start": [datetime.time(7, 45)] * N,
        "note": ["x", None] * (N // 2),
        "label": ["ja", "nein"] * (N // 2),
    }
)


@pytest.fixture
def book(tmp_path):
    with pd.ExcelWriter(tmp_path / "book.xlsx", engine="openpyxl") as writer:
        SHEET.to_excel(writer, sheet_name="2025", index=False)
        SHEET.assign(count=7).to_excel(writer, sheet_name="2026", index=False)
    return tmp_path / "book.xlsx"


def test_a_sheet_is_read_by_its_name(book):
    dataset = load_data(ktune.data.excel(book, target="label", sheet="2026"))
    assert dataset.x["größe"].tolist() == SHEET["größe"].tolist()
    assert dataset.x["count"].tolist() == [7] * N
    assert dataset.x["start"].tolist() == [7.75] * N
    assert dataset.x["note"].tolist() == ["x", None] * (N // 2)
    assert dataset.class_names == ("ja", "nein")
    assert "found sheet" not in " ".join(dataset.notes)


def test_one_of_several_sheets_must_be_named(book):
    with pytest.raises(DataError, match="2 sheets: '2025', '2026'.*sheet='2025'"):
        load_data(ktune.data.excel(book, target="label"))
    with pytest.raises(DataError, match="no sheet '2027'.*Did you mean"):
        load_data(ktune.data.excel(book, target="label", sheet="2027"))


def test_a_word_among_numbers_is_named(tmp_path):
    values = SHEET["größe"].astype(object)
    for word, told in (("n.a.", None), ("abc", r"holds 'abc' \(row 3\)")):
        values[3] = word
        SHEET.assign(größe=values).to_excel(tmp_path / "one.xlsx", index=False)
        source = ktune.data.excel(tmp_path / "one.xlsx", target="label")
        if told:
            with pytest.raises(DataError, match=told):
                load_data(source)
        else:
            assert np.isnan(load_data(source).x["größe"][3])


def test_new_rows_of_a_workbook_are_read_like_the_training_sheet(book):
    dataset = load_data(ktune.data.excel(book, target="label", sheet="2026"))
    spec = {
        "columns": list(dataset.x.columns),
        "text_columns": ["note"],
        "input_names": [],
        "reading": dataset.reading,
    }
    rows = load_rows(book, spec, None).rows
    assert rows["count"].tolist() == [7] * N
    rows = load_rows(book, spec, None, {"sheet": "2025"}).rows
    assert rows["count"].tolist() == list(range(N))


def test_a_file_that_is_no_workbook_is_refused(tmp_path):
    (tmp_path / "no.xlsx").write_text("a,b")
    with pytest.raises(DataError, match="no readable workbook"):
        load_data(ktune.data.excel(tmp_path / "no.xlsx", target="label"))
