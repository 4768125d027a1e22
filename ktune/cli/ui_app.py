"""MLflow's web page with an additional address, /ktune, for searches.

By default the page opens in its mode for language models, without columns, and with
trials collapsed. Neither an address nor a tag can change that (MLflow 3.17), because
the browser's local storage holds these settings. So /ktune writes that storage, keeps
earlier choices of the user, and redirects to the table of runs.

Run as ``uvicorn ktune.cli.ui_app:app`` with the state as JSON in ``KTUNE_UI``.
"""

import json
import os
from typing import Any

from mlflow.server.fastapi_app import app as _mlflow

STATE_VARIABLE = "KTUNE_UI"
PATH = "/ktune"

_PAGE = """<!doctype html><meta charset="utf-8"><title>ktune</title>
<script>
const wanted = %s, storage = localStorage;
storage.setItem('mlflow.workflowType_v1', '"machine_learning"');
const seen = 'mlflow.assistant.fab.autoOpenedOnFirstLoad_v1';
if (!storage.getItem(seen)) {
  storage.setItem(seen, 'true');
  storage.setItem('mlflow.assistant.panelOpen_v1', 'false');
}
for (const page of wanted) {
  const key = 'MLflowLocalStorage-1.1-ExperimentPage-["' + page.experiment_id
    + '"]-ReactComponentState';
  let old = {};
  try { old = JSON.parse(storage.getItem(key)) || {}; } catch (error) {}
  const fresh = {selectedColumns: page.columns, columnOrder: [], columnWidths: {}};
  const state = Object.assign(
    {searchFilter: '', orderByKey: 'attributes.start_time', orderByAsc: false,
     startTime: 'ALL', lifecycleFilter: 'Active', datasetsFilter: [],
     modelVersionFilter: 'All Runs'},
    Object.keys(old).length ? old : fresh);
  state.runsExpanded = Object.assign({}, old.runsExpanded || {}, page.expanded);
  storage.setItem(key, JSON.stringify(state));
}
const target = wanted.length
  ? '/#/experiments/' + wanted[0].experiment_id + '/runs?workflowType=machine_learning'
  : '/';
location.replace(target);
</script><a href="/">MLflow</a>
"""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer /ktune; pass all other requests to MLflow."""
    if scope["type"] == "http" and scope["path"] == PATH:
        await _send_page(send)
    else:
        await _mlflow(scope, receive, send)


def page() -> bytes:
    """Return the page that sets the local storage and redirects."""
    state = json.loads(os.environ.get(STATE_VARIABLE, "[]"))
    # "<" could end the script element; names come from users.
    return (_PAGE % json.dumps(state).replace("<", "\\u003c")).encode()


async def _send_page(send: Any) -> None:
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": page()})
