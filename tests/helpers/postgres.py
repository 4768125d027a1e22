"""A PostgreSQL of the test's own, from the binaries installed on this machine."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD, DATABASE = "ktune", "pa55word-of-the-database", "postgres"

_DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps the binaries, a folder a version, and not on the PATH."""

# Nothing here has to survive the machine's power loss.
_FAST = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off"


@contextlib.contextmanager
def running_postgres() -> Iterator[str]:
    """A new cluster on a free port of 127.0.0.1, as a URL for SQLAlchemy.

    Skips where PostgreSQL is not installed. Further databases are made by
    ``CREATE DATABASE`` through the URL.
    """
    binaries = _find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed on this machine")
    # Not pytest's folder: that one is closed to other users, and the server refuses
    # to run as root.
    with tempfile.TemporaryDirectory(prefix="ktune-postgres-") as folder:
        data, port = Path(folder, "data"), _free_port()
        user = _unprivileged_user()
        if user:
            shutil.chown(folder, user["user"], user["group"])
        password_file = Path(folder, "password")
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        _run(
            [f"{binaries}/initdb", "-D", data, "-U", USER, "--auth=scram-sha-256"]
            + [f"--pwfile={password_file}", "--encoding=UTF8", "--no-sync"],
            user,
        )
        options = f"-p {port} -h 127.0.0.1 -k '' {_FAST}"
        control = [f"{binaries}/pg_ctl", "-D", data, "-w"]
        _run([*control, "-l", f"{folder}/log", "-o", options, "start"], user)
        try:
            yield (
                f"postgresql+psycopg2://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"
            )
        finally:
            _run([*control, "-m", "immediate", "stop"], user)


def _find_binaries() -> Path | None:
    found = shutil.which("initdb")
    if found and shutil.which("pg_ctl"):
        return Path(found).parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return versions[-1].parent if versions else None


def _unprivileged_user() -> dict[str, Any]:
    """Who shall run the server, as arguments of `subprocess.run`; {}: the tester."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: list[object], user: dict[str, Any]) -> None:
    # No pipes: the server inherits them, and who reads them would wait for its end.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(word) for word in command],
            **user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{command[0]}: {output.read().decode()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
