"""Tables in the terminal."""

import pytest

from ktune.cli.tables import make_table, print_table


@pytest.mark.parametrize(
    "text", ["[/red]", "[bold]x", "[link=http://x]y[/link]", "[a]"]
)
def test_what_users_have_named_is_printed_as_it_is(text, capsys):
    table = make_table(text, "b")
    table.add_row("1", text)
    print_table(table, empty="")
    assert capsys.readouterr().out.count(text) == 2
