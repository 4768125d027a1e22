"""Find the MLflow store, and relocate it when its folder has moved.

MLflow writes artifact locations as absolute paths, which ``mv project elsewhere``
breaks. Therefore the paths of a store are rewritten when it is opened at another
place than the recorded one.
"""

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ktune.errors import StoreError

DEFAULT_FOLDER = Path("mlruns")

BUSY_SECONDS = 20.0
"""Lock timeout of SQLite in calls of ktune, as in those of MLflow (3.17)."""

_SQLITE = "sqlite:///"
_SERVER = ("http://", "https://")
_ROOT_NAME = "artifacts"

# Every column of MLflow's schema that holds an artifact path (3.10 – 3.17).
_PATH_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Login:
    """User and password for a server.

    They are kept apart from its address, which is shown and recorded.
    """

    user: str
    password: str


@dataclass(frozen=True)
class StoreLocation:
    """Address of a store.

    Attributes:
        uri: Tracking and registry URI for MLflow. The URI of a database server
            contains its password, so messages use `shown`.
        database: The SQLite file; None for a server.
        login: Login of an MLflow server, taken from the given address.
        local_folder: The folder of the studies for a server; absolute, because a
            builder may change the working folder later.
    """

    uri: str = field(repr=False)
    database: Path | None
    login: Login | None = field(default=None, repr=False)
    local_folder: Path = field(
        default_factory=DEFAULT_FOLDER.resolve, repr=False, compare=False
    )

    @property
    def is_server(self) -> bool:
        """Whether the store is an MLflow server rather than a database."""
        return self.uri.startswith(_SERVER)

    @property
    def shown(self) -> str:
        """The address without login and encoding, for messages."""
        if self.database is not None:
            return f"{_SQLITE}{self.database}"
        return _without_login(self.uri)

    @property
    def folder(self) -> Path:
        """The folder of the studies, and of everything else for SQLite."""
        return self.database.parent if self.database else self.local_folder

    @property
    def artifact_root(self) -> str | None:
        """Artifact location for new experiments; None if the server decides."""
        return None if self.is_server else (self.folder / _ROOT_NAME).as_uri()

    @property
    def exists(self) -> bool:
        """Whether the store exists; a server is assumed to."""
        return self.database is None or self.database.exists()


def find_store(tracking_uri: str | None = None) -> StoreLocation:
    """Return the store of a URI, of MLFLOW_TRACKING_URI, or the default one.

    Raises:
        StoreError: The URI is a folder, which MLflow no longer writes to, or names
            no file.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        database = (DEFAULT_FOLDER / "mlflow.db").resolve()
        return StoreLocation(sqlite_uri(database), database)
    if uri.startswith(_SQLITE) and uri != _SQLITE:
        return _sqlite_location(uri.removeprefix(_SQLITE))
    if uri.startswith("sqlite:"):
        raise StoreError(
            f"the tracking URI {uri!r} names no file, so nothing would be saved. "
            f"Use {_SQLITE}FOLDER/mlflow.db"
        )
    if uri.startswith("file:") or "://" not in uri:
        folder = uri.removeprefix("file:").removeprefix("//").rstrip("/")
        raise StoreError(
            f"the tracking URI {uri!r} is a folder, which MLflow no longer writes to. "
            f"Use {_SQLITE}{folder}/mlflow.db or the address of a server."
        )
    if uri.startswith(_SERVER):
        return StoreLocation(_without_login(uri), None, _login_of(uri))
    return StoreLocation(uri, None)


def sqlite_uri(database: Path) -> str:
    """Return the URI under which MLflow opens a SQLite file.

    Raises:
        StoreError: The installed SQLAlchemy cannot express the path.
    """
    path = str(database)
    if not {"%", "?"} & set(path):
        return f"{_SQLITE}{path}"
    from sqlalchemy.engine import make_url

    if make_url(f"{_SQLITE}%41").database == "A":  # SQLAlchemy 2.1 decodes paths
        # MLflow creates the parent folder of the encoded path: without slashes it is
        # the root folder.
        root = "/" if path.startswith("/") else ""
        return f"{_SQLITE}{root}{quote(path.removeprefix(root), safe='')}"
    if "?" in path:
        raise StoreError(
            f"the path {path} contains `?`, which SQLAlchemy before 2.1 cannot open. "
            "Rename the folder, or: pip install --upgrade sqlalchemy"
        )
    return f"{_SQLITE}{path}"


def _sqlite_location(text: str) -> StoreLocation:
    """Return the store of a path as people write it in a URI, or percent-encoded."""
    head, mark, tail = text.rpartition("?")
    # After the last slash it begins SQLAlchemy's options.
    path, options = (head, mark + tail) if mark and "/" not in tail else (text, "")
    database, decoded = Path(path), Path(unquote(path))
    has_slashes = "%2f" in path.lower()  # as in `sqlite_uri`
    if decoded.parent.exists() and (has_slashes or not database.parent.exists()):
        database = decoded
    database = database.resolve()
    return StoreLocation(sqlite_uri(database) + options, database)


def _login_of(uri: str) -> Login | None:
    parts = urlsplit(uri)
    if parts.username is None:
        return None
    return Login(unquote(parts.username), unquote(parts.password or ""))


def _without_login(uri: str) -> str:
    return re.sub("://[^/]*@", "://", uri)


def relocate(database: Path) -> bool:
    """Rewrite artifact paths if the store's folder has moved since they were written.

    Args:
        database: The SQLite file at its present place.

    Returns:
        Whether paths were rewritten.

    Raises:
        sqlite3.Error: It is not readable or not writable.
    """
    new = (database.parent / _ROOT_NAME).as_uri()
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
        roots = _recorded_roots(connection)
        if not roots or new in roots:
            return False
        old = roots[0]
        with connection:
            for table, column in _existing_columns(connection):
                connection.execute(
                    # Not LIKE: it ignores case, and "_" matches any character.
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column} || '/', 1, ?) = ? || '/'",
                    (new, len(old) + 1, len(old) + 1, old),
                )
        return True


def _recorded_roots(connection: sqlite3.Connection) -> list[str]:
    """Return candidates for the artifact root of ktune's experiments, newest first.

    Experiments of other programs may have artifact roots of their own.
    """
    if ("experiments", "artifact_location") not in _existing_columns(connection):
        return []
    rows = connection.execute(
        "SELECT artifact_location FROM experiments WHERE artifact_location LIKE ? "
        "ORDER BY experiment_id DESC",
        (f"file://%/{_ROOT_NAME}",),
    )
    return [row[0] for row in rows]


def _existing_columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    found = []
    for table, column in _PATH_COLUMNS:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        if any(c[1] == column for c in columns):
            found.append((table, column))
    return found
