"""Suggestions for mistyped words, nouns after a number, and text for a terminal."""

import difflib
import re
from collections.abc import Iterable
from typing import TextIO

# C0 and C1 controls, line and paragraph separators, lone surrogates, and the marks that
# reverse the direction of text. Newline and tab stay.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known word, or "".

    Example:
        >>> did_you_mean("val_acuracy", ["accuracy", "val_accuracy"])
        " Did you mean 'val_accuracy'?"
        >>> did_you_mean("zebra", ["accuracy"])
        ''
    """
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> count_of(1, "epoch"), count_of(0, "row")
        ('1 epoch', '0 rows')
    """
    return f"{number} {noun}" + ("" if number == 1 else "s")


def listed(names: Iterable[str], at_most: int = 20) -> str:
    """Return names with quotes and commas; the rest of a long list as a number.

    Example:
        >>> listed(["a", "b", "c"], at_most=2), listed([])
        ("'a', 'b' and 1 more", '(none)')
    """
    known = list(names)
    shown = ", ".join(map(repr, known[:at_most])) or "(none)"
    rest = len(known) - at_most
    return f"{shown} and {rest} more" if rest > 0 else shown


def shortened(text: str, at_most: int) -> str:
    """Return text with an ellipsis for everything beyond a length.

    Example:
        >>> shortened("units", 5), shortened("a very long name", 7)
        ('units', 'a very…')
    """
    return text if len(text) <= at_most else f"{text[: at_most - 1]}…"


def printable(text: str) -> str:
    r"""Return text for a terminal: control characters are escaped as in Python.

    Example:
        >>> print(printable("red \x1b[31m"), printable("Zürich, 東京"))
        red \x1b[31m Zürich, 東京
    """
    if text.isprintable():
        return text
    return _CONTROLS.sub(lambda match: _escaped(match.group()), text)


def one_line(text: str) -> str:
    r"""Return text for a terminal on one line: line breaks and tabs are escaped too.

    Example:
        >>> print(one_line("a\nb"))
        a\nb
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def say(*parts: object, file: TextIO | None = None, flush: bool = False) -> None:
    """Print parts as one line for a terminal, as all verbs do.

    Names, values and messages of a store were written by other people and programs. A
    control character in them would move the cursor, change colours or hide lines.
    """
    print(*(printable(str(part)) for part in parts), file=file, flush=flush)


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def percent(value: float) -> str:
    """Return a share as text.

    Example:
        >>> percent(0.1234)
        '12 %'
    """
    return f"{100 * value:.0f} %"
