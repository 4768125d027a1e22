"""Ask ktune's scoring server without a process and a port."""

import asyncio
import json
from pathlib import Path

from ktune.cli.request_checks import Limits
from ktune.cli.scoring_guard import ScoringGuard


def answer(folder: Path, content: object) -> tuple[int, object]:
    """Return status and content of the answer of a model folder to a request."""
    from mlflow.pyfunc.scoring_server import init

    from ktune.tracking.model_files import load_pyfunc

    app = ScoringGuard(init(load_pyfunc(folder, "folder")), Limits())
    return asyncio.run(_post(app, json.dumps(content).encode()))


async def _post(app: ScoringGuard, body: bytes) -> tuple[int, object]:
    headers = [(b"content-type", b"application/json")]
    parts = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict] = []

    async def receive() -> dict:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/invocations",
        "headers": headers,
        "query_string": b"",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        "root_path": "",
    }
    await app(scope, receive, send)
    whole = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(whole)
