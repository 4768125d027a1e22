"""Copies of a project with a finished search, to change without harm."""

import shutil
from pathlib import Path
from types import SimpleNamespace

from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from ktune.tracking.store import open_store


def copy_project(search: SimpleNamespace, folder: Path) -> Path:
    """Copy the project of a search; its store works from the new place."""
    shutil.copytree(search.folder, folder)
    # The copy has the same run ids, and MLflow remembers where their files were.
    _artifact_repos_cache.clear()
    open_store(f"sqlite:///{folder}/mlruns/mlflow.db")
    return folder
