"""Layout of a csv file: encoding, separator, comments and first line."""

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ktune.data.table_format import TableFormat
from ktune.errors import DataError

SEPARATORS = (";", "\t", "|", ",")
_SAMPLE_BYTES = 100_000
_SAMPLE_LINES = 100
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARKED = [encoding for _, encoding in _BOMS]
_SEPARATOR_LINE = re.compile(rb'\s*"?sep=(.)"?\s*', re.I)


@dataclass(frozen=True)
class Layout:
    """The rows of a csv file as UTF-8, and their format.

    Attributes:
        content: Header and rows.
        format: Table format with the detected separator, encoding and comment.
        skipped: Number of lines before the content.
    """

    content: bytes
    format: TableFormat
    skipped: int = 0


def find_layout(content: bytes, given: TableFormat, path: Path) -> Layout:
    """Convert a csv file to UTF-8, and detect its separator and first line.

    Excel's line ``sep=;`` is respected, and lines that begin with ``#`` before the
    header are dropped.

    Args:
        content: Uncompressed content of the file.
        given: Table format of the user.
        path: Path of the file, for messages.

    Raises:
        DataError: The text is not in the given encoding.
    """
    content, encoding = _as_utf8(content, given.encoding, path)
    content, skipped, separator = _without_separator_line(content)
    separator = given.separator or separator
    comment = given.comment
    if comment:
        content = _without_comments(content, comment.encode())
    elif comment is None:
        content, n_comments = _without_comments_before_header(content, separator)
        skipped, comment = skipped + n_comments, "#" if n_comments else ""
    separator = separator or find_separator(_sample(content))
    found = replace(given, separator=separator, encoding=encoding, comment=comment)
    return Layout(content, found, skipped)


def find_separator(lines: Sequence[str]) -> str:
    r"""Return the separator that splits all lines into the same number of values.

    Example:
        >>> find_separator(["a;b", "1,5;2", "2,5;3"])
        ';'
        >>> find_separator(["a b"])
        ','
    """
    for separator in SEPARATORS:
        widths = {len(row) for row in csv.reader(lines, delimiter=separator) if row}
        if len(widths) == 1 and widths.pop() > 1:
            return separator
    first = lines[0] if lines else ""
    if "," in first:
        return ","
    return max(
        SEPARATORS, key=lambda separator: (first.count(separator), separator == ",")
    )


def cut(line: str, separator: str) -> list[str]:
    """Return the values of one line."""
    return next(csv.reader([line], delimiter=separator), [])


def _as_utf8(content: bytes, encoding: str | None, path: Path) -> tuple[bytes, str]:
    found = _find_encoding(content)
    if encoding is not None and found not in _MARKED:
        found = encoding
    if found == "utf-8-sig" or codecs.lookup(found).name == "utf-8":
        return content.removeprefix(codecs.BOM_UTF8), found
    try:
        return content.decode(found).encode(), found
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: no readable csv file: its text is not in {found} ({error}). Give "
            "another `encoding`, or leave it out."
        ) from error


def _find_encoding(content: bytes) -> str:
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return encoding
    even, odd = (content[start:2000:2].count(0) for start in (0, 1))
    # Western text in UTF-16 has a zero in every second byte.
    if max(even, odd) > 0.4 * len(content[:2000]) / 2 > 10 * min(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def _without_separator_line(content: bytes) -> tuple[bytes, int, str | None]:
    line, _, rest = content.partition(b"\n")
    match = _SEPARATOR_LINE.fullmatch(line) if len(line) < 20 else None
    if match is None:
        return content, 0, None
    return rest, 1, match[1].decode("utf-8", "replace")


def _without_comments(content: bytes, comment: bytes) -> bytes:
    """Drop lines that begin with the comment mark, unless they are inside quotes."""
    kept, quotes = [], 0
    for line in content.splitlines(keepends=True):
        if quotes % 2 == 0 and line.lstrip().startswith(comment):
            continue
        quotes += line.count(b'"')
        kept.append(line)
    return b"".join(kept)


def _without_comments_before_header(
    content: bytes, separator: str | None
) -> tuple[bytes, int]:
    count, rest = 0, content
    last = b""
    while rest.lstrip().startswith(b"#"):
        last, _, rest = rest.lstrip().partition(b"\n")
        count += 1
    lines = _sample(rest)
    if count == 0 or not lines:
        return content, 0
    separator = separator or find_separator(lines)
    # "#id,x,y" before rows of three values is a header.
    header = cut(last.decode("utf-8", "replace"), separator)
    if len(header) == len(cut(lines[0], separator)) > 1:
        return last + b"\n" + rest, count - 1
    return rest, count


def _sample(content: bytes) -> list[str]:
    lines = content[:_SAMPLE_BYTES].decode("utf-8", "replace").splitlines()
    if len(content) > _SAMPLE_BYTES:
        lines = lines[:-1] or lines
    return [line for line in lines if line.strip()][:_SAMPLE_LINES]
