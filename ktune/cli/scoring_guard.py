"""An ASGI layer before MLflow's scoring server: it checks requests and errors.

The protocol is that of MLflow: a request that is complete passes unchanged, and so does
its answer. An error has MLflow's form, a JSON object with ``error_code`` and
``message``.
"""

import asyncio
import codecs
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, TypeAlias

from ktune.cli.request_checks import (
    PARQUET,
    Limits,
    RequestRefused,
    check_body,
    check_media_type,
    check_size,
)
from ktune.utils.text import one_line, shortened

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Receive, Send], Awaitable[None]]

PATH = "/invocations"
_MAX_MESSAGE = 400
_MOST_READ = 10  # times the limit; the connection of a larger body is closed
_REASON = "Error: "  # MLflow puts it before the message of the model
_GENERAL = {
    400: "the model cannot predict these rows: check columns, shapes and types",
    504: "the request took too long",
}
_FAULT = "the server failed on this request; its log has the details"


class ScoringGuard:
    """Checks requests for predictions, and shortens errors.

    Args:
        app: MLflow's scoring server.
        limits: Limits of a request.
    """

    def __init__(self, app: Application, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_scoring = scope["type"] == "http" and scope["path"] == PATH
        if not is_scoring or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            content = await self._checked_content(scope, receive)
        except RequestRefused as error:
            await _send_error(send, error.status, str(error))
            return
        if content is not None:
            scope = _with_media_type(scope, content.media_type)
            body = content.body
            await self._app(scope, _replay(body, receive), _ShortErrors(send))

    async def _checked_content(self, scope: Any, receive: Receive) -> "_Content | None":
        """Return the content of a request; None if the client has gone.

        Raises:
            RequestRefused: The request is not complete, or above a limit.
        """
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"")
        size = int(announced) if announced.isdigit() else 0
        body = await self._read(receive, size)
        if body is None:
            return None
        media_type = check_media_type(
            headers.get(b"content-type", b"").decode("latin-1")
        )
        if media_type != PARQUET:  # Excel puts a mark before the first name of a csv
            body = body.removeprefix(codecs.BOM_UTF8)
        await asyncio.to_thread(check_body, media_type, body, self._limits)
        return _Content(media_type, body)

    async def _read(self, receive: Receive, announced: int) -> bytes | None:
        """Return the body of at most the limit; None if the client has gone.

        The rest of a larger body is read but not kept, because most clients read no
        answer before they have sent everything.
        """
        limit, body, size = self._limits.max_body, bytearray(), 0
        while max(size, announced) <= _MOST_READ * limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size <= limit:
                body += part
            if not message.get("more_body", False):
                break
        check_size(max(size, announced), self._limits)
        return bytes(body)


class _Content(NamedTuple):
    """The checked content of a request."""

    media_type: str
    body: bytes


def _with_media_type(scope: Any, media_type: str) -> Any:
    """Return a request with its media type as MLflow's server spells it."""
    others = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", media_type.encode())]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that yields the body again, then what follows it."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


class _ShortErrors:
    """Passes answers on, but errors without stack trace, paths and input."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 200
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Pass on one message of an answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        if self._status < 400:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message["type"] == "http.response.body" and not message.get("more_body"):
            text = _short_message(bytes(self._body), self._status)
            await _send_error(self._send, self._status, text)


def _short_message(body: bytes, status: int) -> str:
    """Return the message of the model, or a general one."""
    try:
        text = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        text = ""
    _, mark, reason = text.rpartition(_REASON)
    if mark and status < 500:
        # MLflow adds the names of further columns of the request.
        line = one_line(reason.strip().split("\n", 1)[0].split(". Note that", 1)[0])
        return shortened(line, _MAX_MESSAGE)
    return _GENERAL.get(status, _GENERAL[400] if status < 500 else _FAULT)


async def _send_error(send: Send, status: int, message: str) -> None:
    code = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    body = json.dumps({"error_code": code, "message": message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status == 413:  # the rest of the body is not read
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
