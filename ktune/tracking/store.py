"""The MLflow store of ktune: the only module that writes to MLflow.

Only the driver uses it, from one thread. A run is written in few calls (one
``log_batch`` for all metrics, params and tags): single calls cost ten times as much,
and each of them is a round trip to a server.
"""

import contextlib
import logging
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ktune.errors import KtuneError, ServerUnavailable, StoreError
from ktune.tracking import names
from ktune.tracking.connectivity import (
    hint,
    is_unavailable,
    log_in,
    require_answer,
    unavailable_error,
)
from ktune.tracking.database import (
    check_database,
    create_database,
    prepare_for_writing,
)
from ktune.tracking.location import StoreLocation, find_store, relocate
from ktune.tracking.records import RunRecord
from ktune.tracking.retries import RetryingClient, RetryPolicy
from ktune.tracking.store_errors import store_error
from ktune.utils.clock import Clock
from ktune.utils.runtime import prepare_environment

_CHATTY = ("mlflow", "alembic", "mlflow.store.db.utils")

EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}


class Store:
    """An open MLflow store.

    Args:
        location: Its address.
        client: MLflow's client for it.
    """

    def __init__(self, location: StoreLocation, client: Any) -> None:
        self.location = location
        self.client = client
        self.clock = Clock()
        self.left_out: set[str] = set()
        """Ids of runs that a listing has left out and named."""

    def experiment_id(self, name: str) -> str:
        """Return the id of an MLflow experiment, created if it does not exist.

        Raises:
            StoreError: It was deleted in MLflow, which still reserves its name.
        """
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            return str(
                self.client.create_experiment(
                    name,
                    artifact_location=self.location.artifact_root,
                    tags=EXPERIMENT_KIND,
                )
            )
        if experiment.lifecycle_stage != "active":
            raise StoreError(
                f"the MLflow experiment {name!r} was deleted. Restore it with "
                f"`mlflow experiments restore -x {experiment.experiment_id}`, or give "
                "the experiment another `name`."
            )
        return str(experiment.experiment_id)

    def start_run(self, experiment_id: str, record: RunRecord) -> str:
        """Start a run that stays open, and return its id."""
        self._start_after_the_newest_run(experiment_id)
        run = self._create(experiment_id, record, {}, self.clock.now())
        self._fill(run.run_id, record, self.clock.now(), run.artifact_uri)
        return str(run.run_id)

    def add_run(
        self,
        experiment_id: str,
        parent_id: str,
        record: RunRecord,
        at: float | None = None,
    ) -> str:
        """Write a finished run below a parent, and return its id.

        The run is terminated last, so a run with a final status is complete.

        Args:
            experiment_id: Id of the MLflow experiment.
            parent_id: Id of the search run.
            record: Content of the run.
            at: End time in seconds since 1970; None for now.
        """
        at = self.clock.now() if at is None else at
        run = self._create(experiment_id, record, {names.PARENT: parent_id}, at)
        self._fill(run.run_id, record, at, run.artifact_uri)
        self._end(run.run_id, record.status, at)
        return str(run.run_id)

    def update_run(
        self, run_id: str, record: RunRecord, at: float | None = None
    ) -> None:
        """Add to a run; a record that is not RUNNING ends it.

        The same record with the same time can be written twice without harm.

        Args:
            run_id: Id of the run.
            record: Content to add.
            at: Timestamp in seconds since 1970; None for now.
        """
        at = self.clock.now() if at is None else at
        self._fill(run_id, record, at)
        if record.status != "RUNNING":
            self._end(run_id, record.status, at)

    def _start_after_the_newest_run(self, experiment_id: str) -> None:
        """Advance the clock if it was set back since the newest run.

        The newest search is the one to show and to resume.
        """
        newest = self.client.search_runs(
            [experiment_id], max_results=1, order_by=["attributes.start_time DESC"]
        )
        for run in newest:
            self.clock.advance_to((run.info.start_time + 1) / 1000)

    def reopen(self, run_id: str) -> None:
        """Set a finished run to RUNNING again."""
        self.client.update_run(run_id, status="RUNNING")

    def mark_interrupted(self, run_id: str) -> None:
        """Mark the unfinished run of a trial after a crash."""
        self.set_tags(run_id, {names.STATE: names.INTERRUPTED})
        self._end(run_id, "KILLED", self.clock.now())

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])

    def log_dataset(
        self, run_id: str, *, name: str, digest: str, profile: Mapping[str, Any]
    ) -> None:
        """Log the data set as an input of the run: name, digest, sizes."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        from ktune.tracking.records import as_json_bytes

        dataset = Dataset(
            name=name,
            digest=digest,
            source_type="local",
            source=as_json_bytes({"name": name}).decode(),
            profile=as_json_bytes(profile).decode(),
        )
        use = InputTag("mlflow.data.context", "search")
        self.client.log_inputs(run_id, [DatasetInput(dataset, [use])])

    def _create(
        self,
        experiment_id: str,
        record: RunRecord,
        tags: Mapping[str, str],
        ended: float,
    ) -> Any:
        run = self.client.create_run(
            experiment_id,
            start_time=_milliseconds(ended - record.seconds),
            tags={**record.tags, **tags},
            run_name=record.name,
        )
        return run.info

    def _fill(
        self, run_id: str, record: RunRecord, at: float, artifact_uri: str | None = None
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = _milliseconds(at)
        self.client.log_batch(  # MLflow splits it into as few requests as possible
            run_id,
            metrics=[Metric(p.key, p.value, now, p.step) for p in record.metrics],
            params=[Param(name, value) for name, value in record.params.items()],
            # `_create` has set the tags of a new run.
            tags=[] if artifact_uri else [RunTag(*tag) for tag in record.tags.items()],
        )
        if record.files:
            self._write_files(run_id, record.files, artifact_uri)

    def _end(self, run_id: str, status: str, at: float) -> None:
        self.client.set_terminated(run_id, status, _milliseconds(at))

    def _write_files(
        self, run_id: str, files: Mapping[str, bytes], artifact_uri: str | None
    ) -> None:
        repository = None if artifact_uri is None else self.files_at(artifact_uri)
        local = getattr(repository, "artifact_dir", None)  # a folder on this machine
        if local is not None:
            _write_below(Path(local), files)
            return
        with tempfile.TemporaryDirectory() as folder:
            _write_below(Path(folder), files)
            if repository is None:
                self.client.log_artifacts(run_id, folder)
            else:  # MLflow's client would request the address again
                repository.log_artifacts(folder)

    def files_at(self, artifact_uri: str) -> Any:
        """Return MLflow's artifact repository for an artifact URI."""
        from mlflow.store.artifact.artifact_repository_registry import (
            get_artifact_repository,
        )

        return get_artifact_repository(artifact_uri, tracking_uri=self.location.uri)


def _write_below(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, created if it does not exist.

    Raises:
        StoreError: A name points outside the folder.
    """
    root = folder.resolve()
    for name in files:
        if not (root / name).resolve().is_relative_to(root):
            raise StoreError(f"artifact {name!r} would leave its run's folder")
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def open_store(tracking_uri: str | None = None, *, create: bool = False) -> Store:
    """Open the store that an address names; see `open_at`."""
    return open_at(find_store(tracking_uri), create=create)


def open_at(location: StoreLocation, *, create: bool = False) -> Store:
    """Open the store at a place; paths are mended if it has moved.

    Args:
        location: From `find_store`.
        create: Make the store if there is none, and prepare it for a search.

    Raises:
        ServerUnavailable: It is on a server that does not answer.
        StoreError: There is none yet (and ``create`` is not set), or it cannot be
            read or written.
    """
    if not location.exists and not create:
        raise StoreError(
            f"there is no MLflow store at {location.database} yet. Run a search first "
            "(`ktune search FILE`), change to its folder, or name a store with "
            "--tracking-uri."
        )
    prepare_environment()
    with quiet_mlflow(), store_errors(location):
        policy = RetryPolicy()
        policy.call(lambda: _prepare(location, for_writing=create))
        client = policy.call(lambda: _connect(location))
        if location.database is not None:
            client = RetryingClient(client, location, policy)
        client.search_experiments(max_results=1)  # fails early on an unusable store
    return Store(location, client)


@contextlib.contextmanager
def opened_store(tracking_uri: str | None = None) -> Iterator[Store]:
    """Open the store that an address names; every error of it is one clear message."""
    store = open_store(tracking_uri)
    with quiet_mlflow(), store_errors(store.location):
        yield store


def _prepare(location: StoreLocation, *, for_writing: bool) -> None:
    """Check a store before MLflow opens it; see `ktune.tracking.database`."""
    if location.is_server:
        log_in(location)
        require_answer(location)
    if location.database is None:
        return
    if not location.exists:
        create_database(location)
    check_database(location.database)
    if for_writing:
        prepare_for_writing(location.database)
    relocate(location.database)


def _connect(location: StoreLocation) -> Any:
    """Return MLflow's client.

    Raises:
        StoreError: The driver package of the database server is not installed.
    """
    import mlflow

    try:
        # mlflow.set_tracking_uri would change the environment of the whole process.
        return mlflow.MlflowClient(location.uri, location.uri)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"the store {location.shown} needs the package {error.name!r}, which is "
            'not installed. For PostgreSQL: pip install "ktune[postgres]", and start '
            "its address with postgresql+psycopg2://"
        ) from error


@contextlib.contextmanager
def store_errors(location: StoreLocation) -> Iterator[None]:
    """Convert errors of MLflow about the store into one clear message.

    Raises:
        ServerUnavailable: The server of the store stopped answering.
        StoreError: The store cannot be used.
    """
    import mlflow.exceptions
    import sqlalchemy.exc

    try:
        yield
    except ServerUnavailable:
        raise
    except KtuneError as error:
        if is_unavailable(error):
            raise unavailable_error(location, error) from error
        raise
    except (
        mlflow.exceptions.MlflowException,
        sqlalchemy.exc.SQLAlchemyError,
        OSError,
        sqlite3.Error,
    ) as error:
        if is_unavailable(error):
            raise unavailable_error(location, error) from error
        if described := store_error(error, location):
            raise described from error
        first_line = str(error).strip().splitlines()[0] if str(error) else ""
        first_line = first_line.replace(location.uri, location.shown)
        raise StoreError(
            f"the MLflow store {location.shown} cannot be used: "
            f"{type(error).__name__}: {first_line}{hint(error)}"
        ) from error


def _milliseconds(seconds: float) -> int:
    return int(1000 * seconds)


@contextlib.contextmanager
def quiet_mlflow(level: int = logging.CRITICAL) -> Iterator[None]:
    """Silence the loggers and warnings of MLflow and its database migrations."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)


def pages(client: Any, experiment_ids: Sequence[str], query: str) -> Iterator[Any]:
    """Yield all runs of a query, page by page."""
    return all_pages(
        lambda token: client.search_runs(
            list(experiment_ids),
            filter_string=query,
            max_results=1000,
            page_token=token,
            order_by=["attributes.start_time DESC"],
        )
    )


def all_pages(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield the entries of all pages of a listing.

    Args:
        fetch: Returns the page of a token, as MLflow's ``search_...`` methods do.
    """
    token: str | None = None
    while True:
        page = fetch(token)
        yield from page
        token = page.token
        if not token:
            return


def quoted(text: str) -> str | None:
    """Return text as a literal of MLflow's filters, which know no escapes; or None."""
    marks = [mark for mark in ("'", '"') if mark not in text]
    return f"{marks[0]}{text}{marks[0]}" if marks else None
