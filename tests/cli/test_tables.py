"""Tables in the terminal."""

import pytest

from ktune.cli.tables import MANY_ROWS, make_table, print_table
from ktune.tracking.records import values_text


def printed(n_rows, capsys):
    table = make_table("trial", "values")
    for number in range(n_rows):
        table.add_row(str(number), f"units={number}")
    print_table(table, empty="nothing")
    return capsys.readouterr().out.splitlines()


def test_a_long_table_has_every_row_on_a_line_of_its_own(capsys):
    lines = printed(MANY_ROWS, capsys)
    assert lines[0].split() == ["trial", "values"]
    assert lines[-1].split() == [str(MANY_ROWS - 1), f"units={MANY_ROWS - 1}"]
    assert len(lines) == MANY_ROWS + 2


def test_an_empty_table_is_a_sentence(capsys):
    assert printed(0, capsys) == ["nothing"]


def test_thousands_of_characters_are_cut_with_an_ellipsis():
    text = values_text({"n" * 5000: "v" * 5000, "units": 3})
    assert text.count("…") == 2
    assert len(text) < 200
    assert text.endswith(", units=3")


@pytest.mark.parametrize(
    "text", ["[/red]", "[bold]x", "[link=http://x]y[/link]", "[a]"]
)
@pytest.mark.parametrize("n_rows", [1, MANY_ROWS])
def test_what_users_have_named_is_printed_as_it_is(text, n_rows, capsys):
    table = make_table(text, "b")
    for _ in range(n_rows):
        table.add_row("1", text)
    print_table(table, empty="")
    assert capsys.readouterr().out.count(text) == n_rows + 1
