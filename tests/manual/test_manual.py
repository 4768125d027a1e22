"""README and manual: whatever they show exists, and `ktune help` prints it."""

import ast
import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

import ktune
import ktune.tracking.names
from ktune.cli.help import TOPICS, describe_topic, read_topic
from ktune.cli.main import VERBS, main, make_parser
from ktune.data import mnist_source
from ktune.errors import ExperimentError
from ktune.experiment.experiment import Experiment
from ktune.spaces.convolutional import Cnn
from ktune.spaces.perceptron import Mlp
from ktune.spaces.recurrent import Rnn
from ktune.tuner.preflight import preflight

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "ktune" / "manual"
PAGES = {"README": ROOT / "README.md"} | {t: MANUAL / f"{t}.md" for t in TOPICS}

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ACTIONS = {"search", "load", "reproduce", "promote", "rollback", "ensemble"}
_TAGS = tuple(
    value
    for value in vars(ktune.tracking.names).values()
    if isinstance(value, str) and value.startswith("ktune.")
)
_PRESETS = {"mlp": Mlp, "cnn": Cnn, "rnn": Rnn}


class Block(NamedTuple):
    """A code block of a page."""

    page: str
    number: int
    code: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def blocks_of(language: str) -> list[Block]:
    return [
        Block(page, number, code)
        for page, path in PAGES.items()
        for number, (word, code) in enumerate(_FENCE.findall(path.read_text()))
        if word == language
    ]


def experiments() -> list[Block]:
    """Return the blocks that define an experiment; of equal ones the first."""
    found = [block for block in blocks_of("python") if "Experiment(" in block.code]
    return list({block.code: block for block in reversed(found)}.values())[::-1]


def prose_of(path: Path) -> str:
    return _FENCE.sub("", path.read_text())


def inline_code_of(path: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose_of(path))


# Python


@pytest.mark.parametrize("block", blocks_of("python"), ids=str)
def test_names_and_arguments_of_python_blocks_exist(block):
    tree = ast.parse(block.code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _dotted(node).startswith("ktune."):
            resolve(_dotted(node))
        if isinstance(node, ast.Call) and _dotted(node.func).startswith("ktune."):
            _check_arguments(node)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Write the csv files that the pages name into the working folder."""
    monkeypatch.chdir(tmp_path)
    header = "id,household,age,plan,churn,label"
    rows = [
        f"{i},{i // 2},{20 + i % 40},{'ab'[i % 2]},{i % 3},{i % 2}" for i in range(90)
    ]
    for name in ("customers.csv", "rare.csv"):
        Path(name).write_text("\n".join([header, *rows]))
    Image.new("RGB", (8, 8)).save("photo.png")
    sales = [f"{i},photo.png,{i % 2}" for i in range(40)]
    Path("shop.csv").write_text("\n".join(["price,photo,sold", *sales]))
    monkeypatch.setattr(mnist_source, "download", lambda *_: None)


@pytest.mark.parametrize("block", experiments(), ids=str)
def test_experiments_of_python_blocks_pass_the_preflight(block, tables):
    names = {}
    exec(block.code, names)
    assert preflight(names["experiment"]).defaults


def test_an_argument_that_does_not_exist_is_found():
    call = ast.parse("ktune.search(experiment, trails=20)").body[0].value
    with pytest.raises(ExperimentError, match="trails"):
        _check_arguments(call)


def resolve(dotted: str) -> object:
    """Return the object of a dotted name; a module below ktune is imported."""
    found = ktune
    path = "ktune"
    for name in dotted.split(".")[1:]:
        path = f"{path}.{name}"
        if not hasattr(found, name):
            importlib.import_module(path)
        found = getattr(found, name)
    return found


def _check_arguments(call: ast.Call) -> None:
    target = resolve(_dotted(call.func))
    given = [keyword.arg for keyword in call.keywords if keyword.arg]
    known = list(inspect.signature(target).parameters)
    if target in (ktune.Experiment, ktune.search):
        known += [field.name for field in fields(Experiment)]
    if target is ktune.spaces.architecture:
        return  # its keywords are names the user chooses
    preset = _PRESETS.get(target.__name__)
    if preset is not None:
        known = [field.name for field in fields(preset)]
    for name in given:
        if name not in known:
            raise ExperimentError(f"{_dotted(call.func)}: no argument {name!r}")


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


# Commands


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words of every command of ktune or of one of its scripts."""
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a command over several lines
            continue
        for position, word in enumerate(words):
            if word == "ktune" or word.endswith("/ktune"):
                yield words[position + 1 :]
                break


@pytest.mark.parametrize("block", blocks_of("sh"), ids=str)
def test_commands_of_shell_blocks_are_accepted(block):
    for words in commands_in(block.code.replace("\\\n", " ")):
        verb, *arguments = words
        assert verb in VERBS
        make_parser(verb).parse_args(arguments)
        _check_options(verb, arguments)  # the parser also takes abbreviations


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page):
    for code in inline_code_of(PAGES[page]):
        for verb, *arguments in commands_in(code):
            if verb in ("VERB", "--help"):
                continue
            assert verb in VERBS, code
            _check_options(verb, arguments)


@pytest.mark.parametrize("page", PAGES)
def test_options_in_the_text_belong_to_a_verb(page):
    known = set().union(*map(_options_of, VERBS))
    for code in inline_code_of(PAGES[page]):
        if code.startswith("-") and not code.startswith("-wal"):
            assert code.split()[0] in known, code


@pytest.mark.parametrize("page", PAGES)
def test_scripts_and_files_named_exist(page):
    text = PAGES[page].read_text()
    for path in re.findall(r"\b(?:ktune|scripts|experiments)/[\w/.]+\w", text):
        assert (ROOT / path).exists(), path


def _check_options(verb: str, words: list[str]) -> None:
    for word in words:
        if word.startswith("-"):
            assert word.split("=")[0] in _options_of(verb), (verb, word)


def _options_of(verb: str) -> set[str]:
    return set(make_parser(verb)._option_string_actions)


# Text


@pytest.mark.parametrize("page", PAGES)
def test_dotted_names_in_the_text_exist(page):
    for code in inline_code_of(PAGES[page]):
        for dotted in re.findall(r"\bktune(?:\.[A-Za-z_]\w*)+", code):
            if not dotted.startswith((*_TAGS, "ktune.json")):
                resolve(dotted)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    path = PAGES[page]
    for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_every_data_source_of_the_table_exists():
    cells = re.findall(r"^\| (`.*?) \|", read_topic("data"), re.MULTILINE)
    sources = {name for cell in cells for name in re.findall(r"`(\w+)\(", cell)}
    public = ((name, getattr(ktune.data, name)) for name in ktune.data.__all__)
    functions = {name for name, found in public if inspect.isfunction(found)}
    assert sources == functions - {"load_data"}


def test_all_fields_of_an_experiment_are_described():
    table = read_topic("experiment").split("## All fields")[1].split("\n## ")[0]
    described = set(re.findall(r"`(\w+)`", table))
    assert {field.name for field in fields(Experiment)} <= described


def test_the_readme_is_short():
    assert len(PAGES["README"].read_text().splitlines()) <= 200


@pytest.mark.parametrize("mark", ["install", "test"])
def test_the_readme_has_the_command_that_ci_runs(mark):
    text = PAGES["README"].read_text()
    command = re.search(rf"<!-- {mark} -->\n```sh\n(.*)\n```\n", text)
    assert command is not None
    assert command[1].startswith("python3 -m venv .venv && .venv/bin/pip install")


# `ktune help`


def test_help_lists_every_file_of_the_manual(capsys):
    assert main(["help"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    listed = [words[0] for words in lines if words and words[0] in TOPICS]
    assert sorted(listed) == sorted(path.stem for path in MANUAL.glob("*.md"))


@pytest.mark.parametrize("topic", TOPICS)
def test_help_renders_a_topic(topic, capsys):
    assert main(["help", topic]) == 0
    printed = capsys.readouterr().out
    assert "```" not in printed
    assert not [other for other in TOPICS if f"({other}.md)" in printed]
    assert describe_topic(topic)


def test_help_of_an_unknown_topic_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["help", "dignosis"])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "Did you mean 'diagnosis'?" in message


def test_help_of_a_verb_prints_its_options(capsys):
    assert main(["help", "report"]) == 0
    assert "--open" in capsys.readouterr().out


def test_help_of_a_topic_that_is_a_verb_names_its_options(capsys):
    assert main(["help", "export"]) == 0
    assert "ktune export --help" in capsys.readouterr().out


def test_the_overview_mentions_the_manual(capsys):
    assert main(["--help"]) == 0
    assert "`ktune help`" in capsys.readouterr().out
