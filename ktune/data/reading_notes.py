"""Notes on how a table was read, with the arguments that change it."""

from collections.abc import Iterator, Mapping

from ktune.data.column_types import TypedTable
from ktune.data.table_format import MissingWord, TableFormat

_MOST_COLUMNS = 5
_USUAL = {
    "separator": (None, ","),
    "decimal": (None, "."),
    "thousands": (None, ""),
    "encoding": (None, "utf-8", "utf-8-sig"),
    "comment": (None, ""),
    "sheet": (None,),
}


def reading_notes(
    name: str,
    given: TableFormat,
    found: TableFormat,
    missing: Mapping[str, tuple[MissingWord, ...]],
    typed: TypedTable,
) -> tuple[str, ...]:
    """Return notes for the user on how a file was read.

    Args:
        name: Name of the file.
        given: Table format of the user.
        found: Detected table format.
        missing: Words that were read as missing, by column.
        typed: Typed columns of the table.
    """
    notes = [*_form(given, found), *_missing(missing, given), *_others(typed)]
    return tuple(f"{name}: {note}" for note in notes)


def _form(given: TableFormat, found: TableFormat) -> Iterator[str]:
    marks = [
        f"{field}={getattr(found, field)!r}"
        for field, usual in _USUAL.items()
        if getattr(found, field) not in usual and getattr(given, field) is None
    ]
    if marks:
        yield f"found {', '.join(marks)}. Arguments of that name state another form."


def _missing(
    missing: Mapping[str, tuple[MissingWord, ...]], given: TableFormat
) -> Iterator[str]:
    written = {
        name: [
            word
            for word in words
            if word.word.strip() and word.word not in given.missing
        ]
        for name, words in missing.items()
    }
    n_empty = sum(w.count for words in missing.values() for w in words)
    written = {name: words for name, words in written.items() if words}
    if not written:
        if n_empty:
            yield f"missing values: {_by_column(_totals(missing))}."
        return
    first = next(iter(written.values()))[0].word
    yield (
        f"missing values: {_by_column(_totals(missing))}. Where "
        f"{first!r} is a value, say not_missing=[{first!r}]."
    )


def _totals(missing: Mapping[str, tuple[MissingWord, ...]]) -> list[str]:
    return [
        f"{name} {sum(word.count for word in words):,}{_words(words)}"
        for name, words in missing.items()
    ]


def _words(words: tuple[MissingWord, ...]) -> str:
    written = list(dict.fromkeys(word.word for word in words if word.word.strip()))
    return f" ({', '.join(map(repr, written[:3]))})" if written else ""


def _by_column(texts: list[str]) -> str:
    more = len(texts) - _MOST_COLUMNS
    shown = ", ".join(texts[:_MOST_COLUMNS])
    return f"{shown} and {more} more columns" if more > 0 else shown


def _others(typed: TypedTable) -> Iterator[str]:
    if typed.clocks:
        listed = _by_column([repr(name) for name in typed.clocks])
        yield f"clock times read as hours: {listed}; text=[…] keeps them as text."
    for name, word in list((typed.offered or {}).items())[:1]:
        more = len(typed.offered or {}) - 1
        others = f" and {more} more columns" if more else ""
        yield (
            f"{word!r} in {name!r}{others} is kept as a category; missing=[{word!r}] "
            "makes it a missing value."
        )
