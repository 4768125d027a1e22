"""No control character of a name or value reaches the terminal."""

import ast
import io
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import ktune
from ktune.cli.main import main
from ktune.cli.tables import MANY_ROWS, make_table, print_table
from ktune.errors import StoreError
from ktune.experiment.experiment import Experiment
from ktune.metrics.scores import Objective
from ktune.testing.fakes import complete, failed, make_trial
from ktune.tracking.records import values_text
from ktune.tuner.progress import make_listener
from ktune.utils.terminal import make_console

HOSTILE = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202eb\x00\x7f\r\ud800"
SOURCES = sorted(Path(ktune.__file__).parent.rglob("*.py"))


def assert_harmless(text):
    assert {"a", "b"} <= set(text)
    assert not [c for c in text if c != "\n" and not c.isprintable()]


def calls_in(path, name):
    """The lines of a file that call a function."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]


def test_text_reaches_the_terminal_in_two_ways_only():
    allowed = {("print", "utils/text.py")}
    root = Path(ktune.__file__).parent
    found = {
        (name, path.relative_to(root).as_posix())
        for path in SOURCES
        for name in ("print", "Console")
        if calls_in(path, name)
    }
    assert found <= allowed


@pytest.mark.parametrize("n_rows", [1, MANY_ROWS])
def test_tables_escape_names_and_values(n_rows, capsys):
    table = make_table(HOSTILE, "b")
    for _ in range(n_rows):
        table.add_row("1", HOSTILE)
    print_table(table, empty="")
    assert_harmless(capsys.readouterr().out)


def test_a_console_escapes_strings_texts_and_tables():
    table = Table(HOSTILE)
    table.add_row(Text(HOSTILE))
    stream = io.StringIO()
    make_console(stream).print(HOSTILE, Text(HOSTILE), table)
    assert_harmless(stream.getvalue())


def test_colours_of_ktune_itself_stay(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    make_console(stream).print(Text("red", style="red"))
    assert "\x1b[31m" in stream.getvalue()


def test_an_error_escapes_what_it_quotes(monkeypatch, capsys):
    def fail(arguments):
        raise StoreError(f"no such experiment: {HOSTILE}")

    monkeypatch.setattr("ktune.cli.runs.run", fail)
    assert main(["runs"]) == 2
    assert_harmless(capsys.readouterr().err)


def test_the_lines_of_a_search_escape_names_values_and_failures():
    stream = io.StringIO()
    listener = make_listener(stream=stream)
    plain = Experiment(name="a", data=([[0.0]], [0]), build=print, trials=4)
    listener.on_search_start(plain, Objective("accuracy", "max"), "0123456789")
    listener.on_phase(HOSTILE)
    listener.on_note(HOSTILE)
    listener.on_trial_end(make_trial(1, {HOSTILE: HOSTILE}), complete(0.5))
    listener.on_trial_end(make_trial(2), failed(HOSTILE))
    assert_harmless(stream.getvalue())


def test_values_stay_on_one_line():
    assert values_text({"a\nb": "x\ty"}) == "a\\nb=x\\ty"
