"""Copies of a project with a finished search, to change without harm."""

import shutil
from pathlib import Path
from types import SimpleNamespace

from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from ktune.tracking.store import open_store


def copy_project(search: SimpleNamespace, folder: Path) -> Path:
    """Copy the project of a search; its store works from the new place."""
    shutil.copytree(search.folder, folder)
    forget_artifacts()
    open_store(f"sqlite:///{folder}/mlruns/mlflow.db")
    return folder


def forget_artifacts() -> None:
    """Have MLflow look up anew where the files of a run are.

    Stores that are copies of one another have the same run ids.
    """
    _artifact_repos_cache.clear()
