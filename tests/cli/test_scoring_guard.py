"""The layer before MLflow's scoring server, before an application that echoes."""

import asyncio
import codecs
import io
import json
import time

import numpy as np
import pandas as pd
import pytest

from ktune.cli.request_checks import Limits
from ktune.cli.scoring_guard import ScoringGuard

JSON = "application/json"
PARQUET = "application/vnd.apache.parquet"
SECRET = "/home/somebody/model.keras"
ANSWER = {"predictions": [[0.5]]}


class Application:
    """Answers with ``status`` and ``content``, and keeps the bodies it has read."""

    def __init__(self, status=200, content=ANSWER):
        self.status = status
        self.content = (
            content if isinstance(content, bytes) else json.dumps(content).encode()
        )
        self.bodies = []
        self.content_types = []

    async def __call__(self, scope, receive, send):
        self.content_types.append(dict(scope["headers"]).get(b"content-type"))
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        headers = [(b"content-length", str(len(self.content)).encode())]
        await send(
            {"type": "http.response.start", "status": self.status, "headers": headers}
        )
        half = len(self.content) // 2
        parts = self.content[:half], self.content[half:]
        for part, more in zip(parts, (True, False), strict=True):
            await send({"type": "http.response.body", "body": part, "more_body": more})


def parquet(columns):
    stream = io.BytesIO()
    pd.DataFrame(columns).to_parquet(stream)
    return stream.getvalue()


def ask(app, body, content_type=JSON, *, limits=None, path="/invocations", **more):
    """Send a request in two parts; return status, content and headers."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    headers = [] if content_type is None else [(b"content-type", content_type.encode())]
    headers += more.get("headers", [])
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    half = len(body) // 2
    parts = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]
    sent = []

    async def receive():
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    guard = ScoringGuard(app, limits or Limits())
    asyncio.run(guard(scope, receive, send))
    start, *rest = sent
    content = b"".join(message["body"] for message in rest)
    return start["status"], content, dict(start["headers"])


def refused(body, content_type=JSON, **more):
    """The status and message of a request that does not reach the application."""
    app = Application()
    status, content, headers = ask(app, body, content_type, **more)
    assert app.bodies == []
    assert headers[b"content-type"] == b"application/json"
    assert int(headers[b"content-length"]) == len(content)
    error = json.loads(content)
    assert set(error) == {"error_code", "message"}
    assert len(error["message"]) < 200
    return status, error["message"]


COMPLETE = [
    {"inputs": [[1, 2], [3, 4]]},
    {"inputs": 3},
    {"inputs": [1.5, 2]},
    {"inputs": {"a": [[1], [2]], "b": [1, 2]}},
    {"inputs": [[[1, 2], [3, 4]], [[1, 2], [3, 4]]], "params": {"x": 1}},
    {"instances": [{"a": 1}, {"a": [1, 2]}]},
    {"dataframe_split": {"columns": ["a", "b"], "data": [[1, None], ["x [", 2]]}},
    {"dataframe_split": {"data": []}},
    {"dataframe_records": [{"a": 1, "b": None}, {"b": 2, "a": 1e308}]},
    {"dataframe_records": []},
]


@pytest.mark.parametrize("content", COMPLETE)
def test_a_complete_request_and_its_answer_pass_unchanged(content):
    app = Application()
    status, answer, _ = ask(app, content, "application/json; charset=utf-8")
    assert status == 200
    assert json.loads(answer) == ANSWER
    assert [json.loads(body) for body in app.bodies] == [content]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'a,b\n1,2\n\n"x,y",\n', "text/csv"),
        (parquet({"a": [1, 2]}), PARQUET),
    ],
)
def test_other_types_of_content_pass(body, content_type):
    app = Application()
    assert ask(app, body, content_type)[0] == 200
    assert app.bodies == [body]


@pytest.mark.parametrize(
    "content_type", ["Application/JSON", 'application/json;charset="UTF8"', JSON]
)
def test_a_content_type_reaches_mlflow_in_its_spelling(content_type):
    app = Application()
    assert ask(app, {"inputs": 3}, content_type)[0] == 200
    assert app.content_types == [b"application/json"]


@pytest.mark.parametrize(
    ("body", "content_type"), [(b"a,b\n1,2\n", "text/csv"), (b'{"inputs": 3}', JSON)]
)
def test_the_mark_that_excel_puts_before_text_is_removed(body, content_type):
    app = Application()
    assert ask(app, codecs.BOM_UTF8 + body, content_type)[0] == 200
    assert app.bodies == [body]


def test_a_parquet_file_that_is_damaged_or_unpacks_to_too_much_is_refused():
    assert refused(b"PAR1 anything", PARQUET) == (400, "the body is not a parquet file")
    many = parquet({"a": np.zeros(200_000)})
    limits = Limits(max_body=len(many))
    assert 10 * len(many) < 200_000
    status, message = refused(many, PARQUET, limits=limits)
    assert status == 413
    assert "unpacks to more than" in message


def test_other_addresses_are_those_of_mlflow():
    app = Application()
    assert ask(app, b"no JSON", None, path="/ping")[0] == 200
    assert app.bodies == [b"no JSON"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"inputs": [[1, 2], [3]]}, "row 1 has 1 values, row 0 has 2"),
        ({"instances": [[1], [2], [3, 4]]}, "row 2 has 2 values, row 0 has 1"),
        ({"inputs": [[1, 2], 3]}, "row 1 has shape (), row 0 has shape (2,)"),
        ({"inputs": [[[1], [2, 3]]]}, "row 0 is ragged"),
        ({"inputs": [[[1], 2]]}, "row 0 is ragged"),
        ({"inputs": {"a": [[1], [2, 3]]}}, "row 1 has 2 values"),
        ({"inputs": {"a": [1, 2], "b": [1]}}, "differ in their number of rows"),
        (
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}},
            "row 1 has 1 values for 2 columns",
        ),
        (
            {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
            "row 0 has 2 values for 1 columns",
        ),
        ({"dataframe_split": {"data": [[1], [2, 3]]}}, "row 1 has 2 values"),
        ({"dataframe_split": {"columns": 3, "data": []}}, "must be a list"),
        (
            {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}},
            "columns 0 and 1 have the same name",
        ),
        ({"dataframe_split": {"columns": ["a"], "data": [3]}}, "row 0 is not a list"),
        ({"dataframe_split": [[1]]}, "must be an object with columns and data"),
        (
            {"dataframe_records": [{"a": 1, "b": 2}, {"a": 1}]},
            "row 1 has other columns than row 0; send null",
        ),
        ({"instances": [{"a": 1}, {"b": 1}]}, "row 1 has other columns"),
        ({"dataframe_records": [{"a": 1}, [1]]}, "row 1 is not an object"),
        ({"dataframe_records": {"a": 1}}, "must be a list of objects"),
    ],
)
def test_short_and_ragged_rows_are_refused_with_their_number(content, message):
    status, found = refused(content)
    assert status == 400
    assert message in found


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"a,b\n1,2\n3\n", "row 1 has 1 values for 2 columns"),
        (b"a,b\n1,2,3\n", "row 0 has 3 values for 2 columns"),
        (b"\xff\xfe", "not a csv file in UTF-8"),
        (b"a,b,a\n1,2,3\n", "columns 0 and 2 have the same name"),
    ],
)
def test_rows_of_a_csv_body_are_checked_too(body, message):
    status, found = refused(body, "text/csv")
    assert status == 400
    assert message in found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        '{"inputs": 3}'.encode("utf-16"),
        '{"inputs": 3}'.encode("utf-16-le"),
        b"[1, 2]",
        b"3",
        b"{}",
        b'{"rows": [[1]]}',
        b'{"inputs": [[1]], "instances": [[1]]}',
        b'{"messages": [{"role": "user", "content": "hello"}]}',
        b'{"inputs": "' + b"\\\\" * 3,
    ],
)
def test_a_body_of_another_form_is_refused_without_its_text(body):
    status, message = refused(body)
    assert status == 400
    assert "hello" not in message
    assert message.startswith("the body ")


@pytest.mark.parametrize(
    "number",
    ["1e999", "-1e400", "1" + "0" * 400, "9" * 5000, "1" + "0" * 210 + "e99", "1E0309"],
)
def test_numbers_beyond_floats_are_refused(number):
    body = f'{{"inputs": [[{number}]]}}'.encode()
    assert refused(body) == (400, "a number is too large for a float of 64 bits")


def test_text_that_looks_like_a_large_number_or_like_brackets_passes():
    content = {"inputs": ["1e999", "[" * 500, "9" * 400, '"[[' * 50 + "\\"]}
    assert ask(Application(), content)[0] == 200


@pytest.mark.parametrize("depth", [33, 100_000])
def test_nesting_beyond_the_limit_is_refused(depth):
    body = b'{"inputs": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    assert refused(body) == (400, "the JSON is nested more than 32 levels deep")
    allowed = Limits(max_depth=depth)
    if depth < 100:
        assert ask(Application(), body, limits=allowed)[0] == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/json; charset=latin-1", f"{JSON}; a=b"],
)
def test_a_missing_or_other_content_type_is_refused(content_type):
    status, message = refused({"inputs": [[1]]}, content_type)
    assert status == 415
    assert "Content-Type" in message
    assert "latin-1" not in message


@pytest.mark.parametrize("announced", [[], [(b"content-length", b"310")]])
def test_a_body_above_the_limit_is_refused(announced):
    limits = Limits(max_body=100)
    status, message = refused({"inputs": [1] * 100}, limits=limits, headers=announced)
    assert status == 413
    assert "larger than 100 bytes" in message
    assert "--max-body" in message


def test_a_body_far_above_the_limit_is_refused_before_it_has_arrived():
    limits = Limits(max_body=100)
    assert refused(b"x" * 5000, limits=limits)[0] == 413
    announced = [(b"content-length", b"1001")]
    assert refused(b"", limits=limits, headers=announced)[0] == 413


def test_a_client_that_goes_away_gets_no_answer():
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": []}
    app = Application()
    asyncio.run(ScoringGuard(app, Limits())(scope, receive, send))
    assert (sent, app.bodies) == ([], [])


def answered(status, content):
    found, body, headers = ask(Application(status, content), {"inputs": [[1]]})
    assert found == status
    assert int(headers[b"content-length"]) == len(body)
    error = json.loads(body)
    assert set(error) == {"error_code", "message"}
    return error["message"]


def test_the_reason_of_the_model_is_kept_without_the_input():
    message = "Failed to predict data 'secret rows'. \nError: inputs ['a'] are missing"
    content = {"error_code": "BAD_REQUEST", "message": message, "stack_trace": SECRET}
    assert answered(400, content) == "inputs ['a'] are missing"


def test_names_of_further_columns_are_not_echoed():
    message = "Error: Model is missing inputs ['a']. Note that there were extra inputs"
    assert answered(400, {"message": message}) == "Model is missing inputs ['a']"


def test_a_long_reason_is_cut_and_its_control_characters_are_escaped():
    text = answered(400, {"message": "Error: column \x1b[2J " + "x" * 9999})
    assert len(text) < 500
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "content",
    [
        {"error_code": "BAD_REQUEST", "message": f"unexpected {SECRET}"},
        b"Internal Server Error",
        {"detail": [SECRET]},
        [SECRET],
    ],
)
@pytest.mark.parametrize("status", [400, 422, 500])
def test_other_errors_have_a_general_sentence(content, status):
    message = answered(status, content)
    assert SECRET not in message
    assert message.startswith(
        "the model cannot" if status < 500 else "the server failed"
    )


def test_hostile_text_is_checked_in_linear_time():
    started = time.perf_counter()
    refused(b'{"inputs": ' + b'\\"' * 1_000_000)
    refused(b'{"inputs": ["' + b'\\"' * 1_000_000)
    assert time.perf_counter() - started < 20
