"""Numbers and clock times as text: decimal commas, missing values, strays."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# fmt: off
MARKS = frozenset((
    "?", "??", "n.a.", "n.a", "n/a", "na", "n.d.", "k.a.", "-", "--", "---",
    "–", "—", ".", "..", "…", "*", "nil", "none", "null", "missing", "(null)",
    "<na>", "nan", "#n/a", "#na", "#value!", "#div/0!", "#ref!", "#num!",
    "#name?", "#null!", "\\n"
))
# fmt: on
"""Words, in lower case, for a missing value in a column of numbers."""

_SPACES = "[\u00a0\u2007\u2009\u202f]"
_CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?(?:\s?([ap])\.?m\.?)?", re.IGNORECASE
)
_SAMPLE = 200
_MOST_STRAYS = 5
_SHARE_OF_STRAYS = 0.05
_FEW_NUMBERS = 10


@dataclass(frozen=True)
class Convention:
    """A number format.

    Attributes:
        decimal: Decimal separator.
        thousands: Separator of groups of three digits; "": no groups.
    """

    decimal: str = "."
    thousands: str = ""

    @cached_property
    def pattern(self) -> str:
        """A regular expression of all numbers, for Python and for RE2."""
        decimal, thousands = re.escape(self.decimal), re.escape(self.thousands)
        whole = r"\d+"
        if self.thousands:
            whole = rf"(?:[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+|\d+)"
        number = rf"(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
        return rf"^[+-]?(?:{number}|(?i:inf|infinity))$"

    def fits(self, word: str) -> bool:
        """Whether a word is a number.

        Example:
            >>> Convention(",", ".").fits("1.234,5"), Convention().fits("1,5")
            (True, False)
        """
        return bool(re.match(self.pattern, re.sub(_SPACES, " ", word.strip())))


PLAIN = Convention()
CONVENTIONS = (
    PLAIN,
    *(Convention(*marks) for marks in (",", ".,", ",.", ". ", ", ", ".'", ",'")),
)
"""All number formats that are detected, the plain one first."""


@dataclass(frozen=True)
class NumberColumn:
    """Counts of the values of a text column by their type.

    Attributes:
        n_numbers: Number of rows with a number.
        n_distinct: Number of distinct values that are numbers.
        marks: Number of rows of each word for a missing value.
        strays: Number of rows of each other word.
    """

    n_numbers: int
    n_distinct: int
    marks: Mapping[str, int] = field(default_factory=dict)
    strays: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_numeric(self) -> bool:
        """Whether it is a column of numbers, possibly with a few strays.

        A column of few distinct numbers, such as 0, 1, 2 and "3+", has categories.
        """
        if not self.n_numbers or not self.strays:
            return bool(self.n_numbers)
        n_strays = sum(self.strays.values())
        return (
            self.n_distinct > _FEW_NUMBERS
            and len(self.strays) <= _MOST_STRAYS
            and n_strays <= max(1, _SHARE_OF_STRAYS * (self.n_numbers + n_strays))
        )


def examine(column: Any, convention: Convention) -> NumberColumn:
    """Count numbers, missing values and strays in a text column.

    Args:
        column: A PyArrow array of strings, null for missing values.
        convention: Format of the numbers.
    """
    import pyarrow.compute as pc

    column = column.drop_null()
    is_number = pc.match_substring_regex(_trimmed(column), convention.pattern)
    numbers = column.filter(is_number)
    counts = pc.value_counts(column.filter(pc.invert(is_number))).to_pylist()
    others = {item["values"]: item["counts"] for item in counts}
    marks = {word: n for word, n in others.items() if is_mark(word)}
    return NumberColumn(
        n_numbers=len(numbers),
        n_distinct=pc.count_distinct(numbers).as_py(),
        marks=marks,
        strays={word: n for word, n in others.items() if word not in marks},
    )


def convert(column: Any, convention: Convention) -> Any:
    """Return the numbers of a text column, null for other values."""
    import pyarrow
    import pyarrow.compute as pc

    text = _trimmed(column)
    is_number = pc.match_substring_regex(text, convention.pattern)
    text = pc.if_else(is_number, text, pyarrow.scalar(None, text.type))
    if convention.thousands:
        text = pc.replace_substring(text, convention.thousands, "")
    text = pc.replace_substring(text, convention.decimal, ".")
    text = pc.replace_substring_regex(text, r"^\+", "")
    is_whole = pc.all(pc.match_substring_regex(text, r"^-?\d{1,18}$")).as_py()
    return pc.cast(text, pyarrow.int64() if is_whole else pyarrow.float64())


def may_hold_numbers(words: Sequence[str]) -> bool:
    """Whether at least half of the first words are numbers."""
    sample = [word for word in words[:_SAMPLE] if not is_mark(word)]
    found = sum(any(c.fits(word) for c in CONVENTIONS) for word in sample)
    return 2 * found >= len(sample) > 0


def is_mark(word: str) -> bool:
    """Whether a word in a column of numbers means a missing value."""
    return word.strip().lower() in MARKS or not word.strip()


def are_numbers_with_units(words: Sequence[str]) -> bool:
    """Whether words are numbers with the same unit, such as "12 %".

    Example:
        >>> are_numbers_with_units(["12,5 €", "3 €"])
        True
        >>> are_numbers_with_units(["user-12", "user-7"])
        False
    """
    sample = words[:_SAMPLE]
    cores = [re.sub(r"^[^\w.+-]+|[^\d]+$", "", word) for word in sample]
    units = {
        word.replace(core, "", 1) for word, core in zip(sample, cores, strict=True)
    }
    return len(units) == 1 and any(all(map(c.fits, cores)) for c in CONVENTIONS)


def numbers_as_text(words: Sequence[str]) -> str | None:
    """Return in words that a column of text holds numbers; None: it does not.

    Example:
        >>> numbers_as_text(["12 %", "13 %"])
        "holds numbers that are written as text, such as '12 %'"
        >>> numbers_as_text(["1.5", "2.5", "low"])
        "holds numbers and text, such as '1.5' and 'low'"
    """
    if are_numbers_with_units(words):
        return f"holds numbers that are written as text, such as {words[0]!r}"
    if not may_hold_numbers(words):
        return None
    number = next(w for w in words if any(c.fits(w) for c in CONVENTIONS))
    others = [w for w in words if not any(c.fits(w) for c in CONVENTIONS)]
    if not others:
        return f"holds numbers that are written as text, such as {number!r}"
    return f"holds numbers and text, such as {number!r} and {others[0]!r}"


def hours_of(word: str) -> float | None:
    """Return a clock time in hours; None for other words.

    Example:
        >>> hours_of("14:30"), hours_of("2:30 pm"), hours_of("25:00")
        (14.5, 14.5, None)
    """
    match = _CLOCK.fullmatch(word.strip())
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), float(match[3] or 0)
    if match[4] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[4].lower() == "p" else 0)
    if hour > 24 or minute > 59 or second >= 60:
        return None
    return hour + minute / 60 + second / 3600


def _trimmed(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(pc.replace_substring_regex(column, _SPACES, " "))
