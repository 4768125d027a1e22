"""`ktune serve`: the real server, asked over HTTP as anybody would."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tiny_models):
    """``lines`` it printed and ``address`` of the served table model."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ktune", "serve", "categories", "--port", "5271"],
        cwd=tiny_models.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        else:
            pytest.fail("".join(lines))
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.wait(30) == 0


def post(server, content):
    address = re.search(r"http://127\.0\.0\.1:\d+/invocations", "".join(server)).group()
    request = urllib.request.Request(
        address,
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def as_split(table):
    return {"dataframe_split": json.loads(table.to_json(orient="split", index=False))}


@pytest.mark.slow
def test_it_answers_two_hundred_requests_like_predict(server, tiny_models):
    model = tiny_models.models["categories"]
    rows = model.rows.iloc[:200]
    wanted = model.predict(rows)
    status, answer = post(server, as_split(rows))
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], wanted, atol=2e-7)
    for index in range(200):
        status, answer = post(server, as_split(rows.iloc[[index]]))
        assert status == 200
        np.testing.assert_allclose(answer["predictions"], wanted[[index]], atol=2e-7)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda t: t.assign(job="pilot"),
            "column 'job': 'pilot' (row 0) is none of the 3 categories",
        ),
        (lambda t: t.assign(age="old"), "column 'age' must hold numbers; got 'old'"),
        (lambda t: t.drop(columns="income"), "income"),
    ],
)
def test_wrong_rows_are_refused_with_the_reason(server, tiny_models, change, told):
    rows = tiny_models.models["categories"].rows.iloc[:2]
    status, answer = post(server, as_split(change(rows)))
    assert status == 400
    assert told in answer["message"]


def send(server, body, content_type):
    """Send bytes as they are; return the status and the message of an error."""
    address = re.search(r"http://127\.0\.0\.1:\d+/invocations", "".join(server)).group()
    url = urllib.parse.urlsplit(address)
    headers = {} if content_type is None else {"Content-Type": content_type}
    with contextlib.closing(http.client.HTTPConnection(url.netloc, timeout=60)) as web:
        web.request("POST", url.path, body, headers)
        reply = web.getresponse()
        return reply.status, json.load(reply).get("message", "")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "told"),
    [
        (b"age,job\n1\n", "text/csv", 400, "row 0 has 1 values for 2 columns"),
        (b'{"inputs": ' + b"[" * 99, "application/json", 400, "32 levels deep"),
        (b'{"inputs": [[1e999]]}', "application/json", 400, "a number is too large"),
        (b'{"inputs": [[1]]}', "application/json", 400, ""),
        (b"no JSON", "application/json", 400, "not valid JSON"),
        (b"{}", None, 415, "no Content-Type"),
        (b" " * 10_000_001, "application/json", 413, "--max-body"),
    ],
)
def test_other_requests_get_one_sentence(server, body, content_type, status, told):
    found, message = send(server, body, content_type)
    assert found == status
    assert told in message
    assert 0 < len(message) < 400
    assert "Traceback" not in message
    assert "/" not in message.replace("application/", "").replace("text/csv", "")


def test_the_limits_are_stated(server):
    assert any("10 MB (--max-body) and 32 levels" in line for line in server)


def test_the_printed_curl_line_works(server):
    line = next(line for line in server if "curl" in line)
    words = re.sub(r"^\s*curl", "curl -sS", line)
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True)
    assert len(json.loads(done.stdout)["predictions"]) == 5


def test_it_listens_on_this_machine_only(server):
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", "".join(server)).group(1))
    with pytest.raises(ConnectionRefusedError):
        # Also this machine, but another interface to who listens to 127.0.0.1 alone.
        socket.create_connection(("127.0.0.2", port), timeout=5)
