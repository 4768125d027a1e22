"""Read the artifacts of runs."""

import contextlib
import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np

from ktune.errors import StoreError
from ktune.tracking import names
from ktune.tracking.run_view import RunView
from ktune.tracking.store import Store, quiet_mlflow

_LOCAL = "file://"
_FINDING = ("code", "title", "message", "remedy")

_DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors of JSON, NumPy and of constructors for damaged content."""


def read_run_file(store: Store, run: RunView, name: str) -> bytes:
    """Return the content of an artifact of a run by its artifact URI.

    Files are read directly: MLflow queries its database four times per file (50 ms, a
    server 150 ms), which adds half a minute to a report on 200 trials.

    Raises:
        StoreError: It is missing or not readable.
    """
    try:
        if run.artifact_uri.startswith(_LOCAL):
            folder = Path(url2pathname(urlsplit(run.artifact_uri).path))
            return (folder / name).read_bytes()
        with quiet_mlflow(), tempfile.TemporaryDirectory() as copy:
            path = Path(copy, "file")
            # MLflow's public function sends five more requests to the server.
            store.files_at(run.artifact_uri)._download_file(name, str(path))
            return path.read_bytes()
    except Exception as error:
        raise _unreadable(name, run.run_id, error) from error


def read_file(store: Store, run_id: str, name: str) -> bytes:
    """Return the content of an artifact of a run.

    Raises:
        StoreError: It is missing or not readable.
    """
    try:
        with quiet_mlflow(), tempfile.TemporaryDirectory() as copy:
            path = store.client.download_artifacts(run_id, name, copy)
            return Path(path).read_bytes()
    except Exception as error:
        raise _unreadable(name, run_id, error) from error


def read_json(store: Store, run: RunView, name: str) -> dict[str, Any]:
    """Return the content of a JSON artifact, which is an object.

    Raises:
        StoreError: It is missing, not readable, or damaged.
    """
    content = read_run_file(store, run, name)
    with parsing(name, run.run_id):
        found = json.loads(content)
        if not isinstance(found, dict):
            raise TypeError("it is not a JSON object")
        return found


def read_arrays(content: bytes, name: str, run_id: str) -> dict[str, np.ndarray]:
    """Return the arrays of an npz artifact of a run.

    Raises:
        StoreError: It is damaged.
    """
    with (
        parsing(name, run_id),
        np.load(io.BytesIO(content), allow_pickle=False) as arrays,
    ):
        return {key: arrays[key] for key in arrays.files}


def read_folder(store: Store, run_id: str, name: str) -> dict[str, bytes]:
    """Return the artifacts below a folder by path; {} if the folder does not exist.

    Raises:
        StoreError: They are not readable.
    """
    try:
        with quiet_mlflow(), tempfile.TemporaryDirectory() as copy:
            if not store.client.list_artifacts(run_id, name):
                return {}
            folder = Path(store.client.download_artifacts(run_id, name, copy))
            return {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
    except Exception as error:
        raise _unreadable(name, run_id, error) from error


def read_findings(store: Store, run: RunView) -> list[dict[str, str]]:
    """Return the findings about a trial or search, most severe first.

    Raises:
        StoreError: The file is damaged.
    """
    try:
        content = read_run_file(store, run, names.DIAGNOSIS_FILE)
    except StoreError:
        return []  # interrupted before its diagnosis
    with parsing(names.DIAGNOSIS_FILE, run.run_id):
        return [
            {key: str(found[key]) for key in _FINDING}
            for found in json.loads(content)["findings"]
        ]


@contextlib.contextmanager
def parsing(name: str, run_id: str) -> Iterator[None]:
    """Turn the errors of a damaged artifact into one with its name.

    Raises:
        StoreError: The block could not parse it.
    """
    try:
        yield
    except _DAMAGE as error:
        raise _unreadable(name, run_id, error) from error


def _unreadable(name: str, run_id: str, error: Exception) -> StoreError:
    reason = f"no {error}" if isinstance(error, KeyError) else str(error)
    return StoreError(f"artifact {name!r} of run {run_id[:8]} cannot be read: {reason}")
