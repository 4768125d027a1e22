"""Tables as people have them: read right, said how, or refused with the remedy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ktune.data
from ktune.data import load_data
from ktune.data.csv_reader import read_csv
from ktune.data.dataset import Task
from ktune.data.table_format import TableFormat, format_from_dict
from ktune.errors import DataError

N = 40


def rows(line, n=N):
    return "".join(f"{line(i)}\n" for i in range(n))


def load(tmp_path, content, **options):
    path = tmp_path / "given.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_data(ktune.data.csv(path, **{"target": "y", **options}))


def comma(number):
    return f"{number:.2f}".replace(".", ",")


NUMBERS = [i * 1.25 - 3 for i in range(N)]

FORMS = {
    "semicolons and decimal commas": (
        "a;y\n" + rows(lambda i: f"{comma(NUMBERS[i])};{i % 2}"),
        {},
        "found separator=';', decimal=','",
    ),
    "decimal commas in quotes": (
        "a,y\n" + rows(lambda i: f'"{comma(NUMBERS[i])}",{i % 2}'),
        {},
        "found decimal=','",
    ),
    "tabs": (
        "a\ty\n" + rows(lambda i: f"{NUMBERS[i]}\t{i % 2}"),
        {},
        "found separator='\\t'",
    ),
    "the line of Excel": (
        "sep=;\na;y\n" + rows(lambda i: f"{NUMBERS[i]};{i % 2}"),
        {},
        "found separator=';'",
    ),
    "UTF-16": (
        ("a\ty\n" + rows(lambda i: f"{NUMBERS[i]}\t{i % 2}")).encode("utf-16"),
        {},
        "encoding='utf-16'",
    ),
    "UTF-16 without a mark": (
        ("a,y\n" + rows(lambda i: f"{NUMBERS[i]},{i % 2}")).encode("utf-16-le"),
        {},
        "encoding='utf-16-le'",
    ),
    "comments before the header": (
        "# of 2026\n# a, b, c\na,y\n" + rows(lambda i: f"{NUMBERS[i]},{i % 2}"),
        {},
        "comment='#'",
    ),
    "comments among the rows": (
        "a,y\n% one\n" + rows(lambda i: f"{NUMBERS[i]},{i % 2}") + "% end, of, rows\n",
        {"comment": "%"},
        "target 'y'",
    ),
    "no header": (
        rows(lambda i: f"{NUMBERS[i]},{i % 2}"),
        {"header": None, "target": 1},
        "target '1'",
    ),
    "names for no header": (
        rows(lambda i: f"{NUMBERS[i]},{i % 2}"),
        {"names": ["a", "y"]},
        "target 'y'",
    ),
    "a separator at the end": (
        "a,y,\n" + rows(lambda i: f"{NUMBERS[i]},{i % 2},"),
        {},
        "target 'y'",
    ),
    "spaces around numbers": (
        "a,y\n" + rows(lambda i: f" {NUMBERS[i]} ,{i % 2}"),
        {},
        "target 'y'",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_and_said(form, tmp_path):
    content, options, message = FORMS[form]
    dataset = load(tmp_path, content, **options)
    assert dataset.x.iloc[:, 0].tolist() == NUMBERS
    assert dataset.task is Task.BINARY
    assert message in " ".join(dataset.notes)


GROUPS = {
    "commas": ('"1,234.50"', 1234.5, {}),
    "points": ('"1.234,50"', 1234.5, {}),
    "spaces": ("1 234.5", 1234.5, {}),
    "hard spaces": ("1\u202f234.5", 1234.5, {}),
    "apostrophes": ("1'234.5", 1234.5, {}),
    "commas, as the user says": ('"1,234"', 1234, {"thousands": ","}),
    "decimals, as the user says": ('"1,234"', 1.234, {"decimal": ","}),
    "points, as the user says": ("1.234", 1234, {"thousands": "."}),
}


@pytest.mark.parametrize("groups", GROUPS)
def test_groups_of_digits_are_numbers(groups, tmp_path):
    word, number, options = GROUPS[groups]
    content = "a,y\n" + rows(lambda i: f"{word if i else 7},{i % 2}")
    dataset = load(tmp_path, content, **options)
    assert dataset.x["a"].tolist() == [7] + [number] * (N - 1)


def test_a_point_is_no_decimal_where_decimals_follow_a_comma(tmp_path):
    content = "a;b;y\n" + rows(lambda i: f"{i},5;{i + 1}.000;{i % 2}")
    dataset = load(tmp_path, content)
    assert dataset.x["b"].tolist() == [(i + 1) * 1000 for i in range(N)]


MARKED = {
    "?": "?",
    "n.a.": "n.a.",
    "#DIV/0!": "#DIV/0!",
    "a blank": " ",
    "a word of the user": "gone",
}


@pytest.mark.parametrize("mark", MARKED)
def test_a_mark_among_numbers_is_missing_and_said(mark, tmp_path):
    word = MARKED[mark]
    content = "a,y\n" + rows(lambda i: f"{word if i == 3 else NUMBERS[i]},{i % 2}")
    dataset = load(tmp_path, content, missing=["gone"])
    assert np.flatnonzero(dataset.x["a"].isna()).tolist() == [3]
    note = dataset.notes[-1]
    assert "missing values: a 1" in note
    assert not word.strip() or repr(word) in note
    assert "not_missing" in note or not word.strip() or mark == "a word of the user"


def test_a_mark_among_words_is_offered(tmp_path):
    content = "a,y\n" + rows(lambda i: f"{'x?z'[i % 3]},{i % 2}")
    assert "missing=['?'] makes it" in load(tmp_path, content).notes[-1]
    gone = load(tmp_path, content, missing="?")
    assert gone.x["a"].isna().sum() == 13


def test_the_name_of_a_class_may_be_a_word_for_missing(tmp_path):
    content = "c,y\n" + rows(
        lambda i: f"{['NA', 'EU'][i % 2]},{['None', 'Apnea', 'Insomnia'][i % 3]}"
    )
    with pytest.raises(DataError, match=r"'None' in 14 rows \(first row 0\).*not_miss"):
        load(tmp_path, content)
    dataset = load(tmp_path, content, not_missing=["None"])
    assert dataset.class_names == ("Apnea", "Insomnia", "None")
    assert "c 20 ('NA')" in dataset.notes[-1]
    both = load(tmp_path, content, not_missing=["None", "NA"])
    assert set(both.x["c"]) == {"NA", "EU"}


@pytest.mark.parametrize("time", ["07:45", "7:45", "07:45:00", "7:45 AM"])
def test_clock_times_are_hours(time, tmp_path):
    content = "t,y\n" + rows(lambda i: f"{time},{i % 2}")
    dataset = load(tmp_path, content)
    assert dataset.x["t"].tolist() == [7.75] * N
    assert "clock times read as hours: 't'" in dataset.notes[-1]


def test_codes_stay_text(tmp_path):
    content = "a,b,y\n" + rows(
        lambda i: f"{['0', '1', '2', '3+'][i % 4]},0{i % 9},{i % 2}"
    )
    dataset = load(tmp_path, content, text=["b"])
    assert set(dataset.x["a"]) == {"0", "1", "2", "3+"}
    assert dataset.x["b"][1] == "01"


REFUSED = {
    "a word among numbers": (
        "a,y\n" + rows(lambda i: f"{'abc' if i == 3 else NUMBERS[i]},{i % 2}"),
        {},
        "column 'a' holds 'abc' (row 3) among 39 numbers",
    ),
    "a word among targets": (
        "a,y\n" + rows(lambda i: f"{i},{'abc' if i == 3 else NUMBERS[i]}"),
        {},
        "column 'y' holds 'abc' (row 3)",
    ),
    "a mark among targets": (
        "a,y\n" + rows(lambda i: f"{i},{'n.a.' if i == 3 else NUMBERS[i]}"),
        {},
        "'n.a.' in 1 row (first row 3). Remove",
    ),
    "numbers of two meanings": (
        "a;y\n" + rows(lambda i: f"1,{i + 100};{i % 2}"),
        {},
        "may be 1.1 or 1100. Say which: decimal=',' or thousands=','",
    ),
    "numbers written in two ways": (
        "a;b;y\n" + rows(lambda i: f"{i},5;{i}.25;{i % 2}"),
        {},
        "numbers are written in two ways",
    ),
    "too few names": (
        rows(lambda i: f"{i},{i % 2}"),
        {"names": ["y"]},
        "there are 1 name, but line 1 has 2 values",
    ),
    "a header that is a row": (
        rows(lambda i: f"{i},{i % 2}"),
        {},
        "say header=None",
    ),
    "comments that are not said": (
        "a,y\n# one, two, three\n" + rows(lambda i: f"{i},{i % 2}"),
        {},
        "comment='#'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_is_not_clear_is_refused_with_the_remedy(case, tmp_path):
    content, options, message = REFUSED[case]
    with pytest.raises(DataError) as raised:
        load(tmp_path, content, **options)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_test_file_is_read_like_the_training_file(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("a;y\n7;1\n8;0\n")
    content = "a;y\n" + rows(lambda i: f"{comma(NUMBERS[i])};{i % 2}")
    dataset = load(tmp_path, content, test=path)
    assert dataset.x_test["a"].tolist() == [7, 8]
    path.write_text("a;y\n7.5;1\n8;0\n")
    with pytest.raises(DataError, match=r"'a' must hold numbers; got '7.5' \(row 0\)"):
        load(tmp_path, content, test=path)


def test_a_format_comes_back_from_json():
    form = TableFormat(decimal=",", names=("a", "b"), missing=("?",), header=False)
    assert format_from_dict(form.as_dict()) == form
    assert format_from_dict(None) == TableFormat()


WORDS = ["a", "äß", "it's", "x y", 'say "no"', "1a", "€", "two\nlines", "a;b", "c,d"]


@st.composite
def written_frames(draw):
    """A frame, and how to write it."""
    fraction = st.floats(-1e9, 1e9).filter(lambda number: number % 1 != 0)
    columns = {
        "n": draw(st.lists(fraction, min_size=9, max_size=9)),
        "i": draw(st.lists(st.integers(-(2**40), 2**40), min_size=9, max_size=9)),
        "t": draw(st.lists(st.sampled_from(WORDS), min_size=9, max_size=9)),
    }
    missing = draw(st.integers(0, 8))
    columns["n"][missing] = columns["t"][missing] = None
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    return columns, {
        "sep": separator,
        "decimal": draw(st.sampled_from(["."] if separator == "," else [".", ","])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])),
        "header": draw(st.booleans()),
        "na_rep": draw(st.sampled_from(["", "NA", "?", "n.a."])),
    }


def values(frame):
    return {
        name: [None if pd.isna(value) else value for value in frame[name]]
        for name in frame
    }


@settings(max_examples=40)
@given(written_frames())
def test_a_frame_in_any_form_is_read_back_equal(tmp_path_factory, written):
    columns, how = written
    path = tmp_path_factory.getbasetemp() / "frame.csv"
    pd.DataFrame(columns).to_csv(path, index=False, **how)
    names = () if how["header"] else ("n", "i", "t")
    form = TableFormat(names=names, missing=("?", "n.a."), header=how["header"])
    read = read_csv(path, form)
    assert values(read.frame) == columns
    # A file of the same form is read alike, by what the first one taught.
    again = read_csv(path, format_from_dict(read.format.as_dict()))
    assert values(again.frame) == columns
    assert again.format == read.format
