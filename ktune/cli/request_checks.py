"""Checks of a scoring request before MLflow's server reads it.

MLflow's server (3.17) completes short rows, echoes the input and its stack trace in
errors, and has no limit of size or depth. A refusal is one sentence that names a row by
its number and quotes nothing of the request.
"""

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

JSON, CSV = "application/json", "text/csv"
PARQUET = "application/vnd.apache.parquet"

UNPACKED = 10
"""Size of an unpacked parquet file, as a multiple of the limit of the body."""

_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# Matches from every quote on, so that its time is linear for hostile text too.
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
# With an exponent of two digits, 211 digits are too large.
_MAYBE_TOO_LARGE = re.compile(rb"[0-9]{200}|[eE]\+?[0-9]{3}")


@dataclass(frozen=True)
class Limits:
    """Limits of a request.

    Attributes:
        max_body: Bytes of the body.
        max_depth: Levels of nested lists and objects in JSON.
    """

    max_body: int = 10_000_000
    max_depth: int = 32

    def as_json(self) -> str:
        """Return the limits as text for another process."""
        return json.dumps(asdict(self))


class RequestRefused(Exception):
    """A request that is answered with an error.

    Args:
        status: Status code of HTTP.
        message: One sentence.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check_media_type(header: str | None) -> str:
    """Return the media type of a Content-Type header.

    Raises:
        RequestRefused: It is missing, or MLflow's server does not read it.
    """
    if not header:
        _refuse(f"the request has no Content-Type; use {JSON}", 415)
    media_type, *parameters = [part.strip().lower() for part in header.split(";")]
    if media_type not in (JSON, CSV, PARQUET):
        _refuse(f"the Content-Type must be {JSON}, {CSV} or {PARQUET}", 415)
    charset = [p.partition("=")[2].strip('"') for p in parameters if p]
    if any(not p.startswith("charset=") for p in parameters if p) or any(
        name not in ("utf-8", "utf8") for name in charset
    ):
        _refuse("the only parameter of the Content-Type is charset=utf-8", 415)
    return media_type


def check_size(n_bytes: int, limits: Limits) -> None:
    """Check the size of a body, or of its part that has arrived.

    Raises:
        RequestRefused: It is above the limit.
    """
    if n_bytes > limits.max_body:
        _refuse(
            f"the body is larger than {limits.max_body} bytes; send fewer rows at a "
            "time, or start the server with a larger --max-body",
            413,
        )


def check_body(media_type: str, body: bytes, limits: Limits) -> None:
    """Check that a body holds complete rows.

    Raises:
        RequestRefused: It does not; the message names the first row that differs.
    """
    if media_type == JSON:
        _check_rows(_read_json(body, limits))
    elif media_type == CSV:
        _check_csv(body)
    else:
        _check_parquet(body, limits)


def _read_json(body: bytes, limits: Limits) -> Any:
    without_text = _STRINGS.sub(b"", body)
    if _depth(without_text) > limits.max_depth:
        _refuse(f"the JSON is nested more than {limits.max_depth} levels deep")
    hooks: dict[str, Any] = {}
    if _MAYBE_TOO_LARGE.search(without_text):
        hooks = {"parse_float": _float, "parse_int": _integer}
    try:
        return json.loads(body.decode("utf-8"), **hooks)
    except (ValueError, RecursionError):  # of text that is not UTF-8 too
        _refuse("the body is not valid JSON in UTF-8")


def _depth(text: bytes) -> int:
    """Return the greatest depth of brackets in JSON without its strings."""
    import numpy as np  # not at the top: `serve --help` must not wait for it

    characters = np.frombuffer(text, np.uint8)
    brackets = characters[np.isin(characters, np.frombuffer(b"[]{}", np.uint8))]
    is_opened = np.isin(brackets, np.frombuffer(b"[{", np.uint8))
    return int(np.where(is_opened, 1, -1).cumsum().max(initial=0))


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse("a number is too large for a float of 64 bits")
    return number


def _integer(text: str) -> int:
    _float(text)
    return int(text)


def _check_rows(content: Any) -> None:
    keys = [key for key in _FORMATS if isinstance(content, dict) and key in content]
    if len(keys) != 1:
        _refuse(f"the body must be a JSON object with one of {', '.join(_FORMATS)}")
    rows = content[keys[0]]
    if keys[0] == "dataframe_split":
        _check_split(rows)
    elif keys[0] == "dataframe_records":
        _check_records(rows)
    elif isinstance(rows, dict):
        _check_named(rows)
    else:
        _check_array(rows)


def _check_split(table: Any) -> None:
    if not isinstance(table, dict) or not isinstance(table.get("data"), list):
        _refuse("dataframe_split must be an object with columns and data")
    columns = table.get("columns")
    if columns is not None and not isinstance(columns, list):
        _refuse("the columns of dataframe_split must be a list")
    _check_names(columns or ())
    _check_lengths(table["data"], None if columns is None else len(columns))


def _check_names(columns: Sequence[Any]) -> None:
    """Check that names of columns differ; otherwise one of two values would count."""
    found: dict[str, int] = {}
    for number, name in enumerate(columns):
        first = found.setdefault(str(name), number)
        if first != number:
            _refuse(f"columns {first} and {number} have the same name")


def _check_records(records: Any) -> None:
    if not isinstance(records, list):
        _refuse("dataframe_records must be a list of objects")
    first: Mapping[str, Any] | None = None
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            _refuse(f"row {number} is not an object")
        if first is None:
            first = record
        elif record.keys() != first.keys():
            _refuse(
                f"row {number} has other columns than row 0; send null for a missing "
                "value"
            )


def _check_named(inputs: Mapping[str, Any]) -> None:
    for rows in inputs.values():
        if isinstance(rows, list):
            _check_array(rows)
    lengths = {len(rows) for rows in inputs.values() if isinstance(rows, list)}
    if len(lengths) > 1:
        _refuse("the inputs differ in their number of rows")


def _check_array(rows: Any) -> None:
    """Check that rows, which may be objects, have the same shape."""
    if not isinstance(rows, list):
        return  # one number or text
    if rows and isinstance(rows[0], dict):
        _check_records(rows)
        return
    shape: tuple[int, ...] | None = None
    for number, row in enumerate(rows):
        found = _shape(row, number)
        shape = found if shape is None else shape
        if found != shape:
            _refuse_ragged(number, found, shape)


def _shape(row: Any, number: int) -> tuple[int, ...]:
    """Return the shape of nested lists."""
    if not isinstance(row, list):
        return ()
    inner = {_shape(part, number) for part in row} if _is_nested(row) else {()}
    if len(inner) > 1:
        _refuse(f"row {number} is ragged: its parts differ in length")
    return (len(row), *inner.pop())


def _is_nested(row: Sequence[Any]) -> bool:
    return any(isinstance(part, list) for part in row)


def _check_lengths(rows: Sequence[Any], n_columns: int | None) -> None:
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            _refuse(f"row {number} is not a list")
        n_columns = len(row) if n_columns is None else n_columns
        if len(row) != n_columns:
            _refuse(f"row {number} has {len(row)} values for {n_columns} columns")


def _refuse_ragged(
    number: int, found: tuple[int, ...], first: tuple[int, ...]
) -> NoReturn:
    if len(found) == len(first) == 1:
        _refuse(f"row {number} has {found[0]} values, row 0 has {first[0]}")
    _refuse(f"row {number} has shape {found}, row 0 has shape {first}")


def _check_csv(body: bytes) -> None:
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8"), newline=""))
        header, *rows = [line for line in lines if line] or [[]]
    except (UnicodeDecodeError, csv.Error):
        _refuse("the body is not a csv file in UTF-8")
    _check_names(header)
    _check_lengths(rows, len(header))


def _check_parquet(body: bytes, limits: Limits) -> None:
    from ktune.data.parquet_reader import unpacked_bytes

    try:
        n_bytes = unpacked_bytes(io.BytesIO(body))
    except Exception:  # Arrow has many; this file is not of ktune
        _refuse("the body is not a parquet file")
    # A few hundred bytes may hold millions of equal rows.
    limit = UNPACKED * limits.max_body
    if n_bytes > limit:
        _refuse(
            f"the parquet file unpacks to more than {limit} bytes; "
            "send fewer rows at a time, or start the server with a larger --max-body",
            413,
        )


def _refuse(message: str, status: int = 400) -> NoReturn:
    raise RequestRefused(status, message) from None
