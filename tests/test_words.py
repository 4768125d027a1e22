"""The prose of ktune uses the field's words: docstrings, comments and messages."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import ktune

PACKAGE = Path(ktune.__file__).parent

REPLACEMENTS = {
    r"who|whom|whoever": "the name of the thing that acts: the driver, the caller …",
    r"(no|some|any|every)body": "the name of the thing that acts, or a passive verb",
    r"theirs": "the noun",
    r"so (many|often)": "a number, or 'this many'",
    r"to be had": "available",
    r"there and back": "to X and from X",
    r"told": "receives, or a message",
    r"lots?": "batch of rows, or many",
    r"in step(?! \d)": "all folds together, epoch by epoch",
    r"in turn": "sequentially, one after another",
    r"doors?": "interface",
    r"ledgers?": "trial store",
    r"books?": "log, logger, records",
    r"captains?": "leader",
    r"obituar(y|ies)": "exit report",
    r"last words": "log tail",
    r"bur(y|ies|ied|ying)": "replace a failed worker",
    r"(work)?bench": "search context",
    r"salvag(e|es|ed|ing)": "recover",
    r"shipments?": "serialized object",
    r"unasked": "inactive",
    r"sidecars?": "embedded preprocessing",
    r"by heart": "memorises",
}
"""Words that are not the field's, as regular expressions, and the words to use."""

FORBIDDEN = {
    re.compile(rf"\b(?:{words})\b", re.IGNORECASE): hint
    for words, hint in REPLACEMENTS.items()
} | {
    # A sentence that begins so has a clause as its subject; a question may.
    re.compile(r"(?:\A|(?<=[.;:]\s)|(?<=\n\n))\s*What\b(?![^.?]*\?)"): (
        "begin with an imperative or a noun phrase"
    ),
}


class Passage(NamedTuple):
    """A piece of prose and the line it begins in."""

    line: int
    text: str


def prose_of(source: str) -> Iterator[Passage]:
    """Return the comments and strings of a module that are read by people."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Passage(token.start[0], token.string.lstrip("#: "))
    for node in ast.walk(ast.parse(source)):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and " " in node.value:
            yield Passage(node.lineno, node.value)


def faults_in(source: str) -> list[str]:
    """Return "LINE: 'words' (use: …)" for each forbidden word of a module."""
    return [
        fault for passage in prose_of(source) for fault in faults_in_passage(passage)
    ]


def faults_in_passage(passage: Passage) -> list[str]:
    """Return the faults of one piece of prose."""
    line, text = passage
    return [
        f"{line + text.count(chr(10), 0, match.start())}: "
        f"{match.group().strip()!r} (instead: {hint})"
        for pattern, hint in FORBIDDEN.items()
        for match in pattern.finditer(text)
    ]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


ROOMS = sorted({room_of(path) for path in PACKAGE.rglob("*.py")})


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_the_words_of_the_field(room: str) -> None:
    faults = [
        f"ktune/{path.relative_to(PACKAGE)}:{fault}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if room_of(path) == room
        for fault in faults_in(path.read_text(encoding="utf-8"))
    ]
    assert not faults, "\n".join(["words that are not the field's:", *faults])


PAGES = [
    *(PACKAGE.parent / name for name in ("README.md", "CHANGELOG.md")),
    *sorted((PACKAGE / "manual").glob("*.md")),
    *sorted((PACKAGE / "report" / "templates").glob("*.j2")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_uses_the_words_of_the_field(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    faults = faults_in_passage(Passage(1, text))
    assert not faults, "\n".join([f"{page.name}: not the field's words:", *faults])


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ('"""Return it.\n\nTo whom it may concern.\n"""', 3, "whom"),
        ("x = 1  # nobody asks", 1, "nobody"),
        ('"""What a rule has found."""', 1, "What"),
        ('print("it is told the result")', 1, "told"),
    ],
)
def test_a_fault_names_its_line_and_a_replacement(
    source: str, line: int, words: str
) -> None:
    (fault,) = faults_in(source)
    assert fault.startswith(f"{line}: {words!r} (instead: ")


@pytest.mark.parametrize(
    "source",
    [
        '"""Return the rows whose target is missing."""',
        '"""Does it overfit? What is missing?"""',
        '"""Log a metric at step 3."""',
        "x = 1  # a notebook has steps",
    ],
)
def test_ordinary_words_are_no_fault(source: str) -> None:
    assert faults_in(source) == []
