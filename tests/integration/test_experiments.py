"""Every file in experiments/ loads its data and searches to a registered model."""

import argparse
import ast
import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from no_training import without_report

from ktune.cli.search import add_arguments
from ktune.data import load_data
from ktune.data.dataset import Dataset, take_rows
from ktune.experiment.loading import load_experiment
from ktune.listener import Listener
from ktune.tuner.search import search

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").glob("*.py"))
MOST_ROWS = 120


def few_rows(dataset: Dataset) -> tuple:
    """A few rows of a data set, evenly spread: what runs on them runs on all."""
    rows = np.linspace(0, dataset.n_rows - 1, MOST_ROWS).astype(int)
    return take_rows(dataset.x, rows), dataset.y[rows]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The folder that scripts/make_image_folder.py makes, with few pictures."""
    path = ROOT / "scripts" / "make_image_folder.py"
    spec = importlib.util.spec_from_file_location("make_image_folder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("images") / "pictures"
    assert module.write(folder, [3, 8], 12) == 24
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_experiment_runs_to_a_registered_model(file, store, pictures, monkeypatch):
    monkeypatch.setenv("KTUNE_IMAGES", str(pictures))
    monkeypatch.delenv("KTUNE_DATA_DIR", raising=False)
    monkeypatch.setattr("ktune.data.mnist_source.download", lambda *_: None)
    monkeypatch.setattr("ktune.data.mnist_source.keras_folder", lambda: None)
    loaded = load_experiment(str(file))
    dataset = load_data(loaded.experiment.data)
    data = few_rows(dataset) if dataset.n_rows > MOST_ROWS else dataset
    with without_report():
        result = search(
            loaded,
            tracking_uri=store.location.uri,
            listener=Listener(),
            is_smoke_test=True,
            register=True,
            data=data,
        )
    assert len(result.trials) == 2
    assert set(result.trials["state"]) <= {"complete", "pruned"}
    assert result.registration is not None
    assert result.registration.alias is None
    assert result.test


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_commands_in_the_docstring_of_an_experiment_search_it(file):
    docstring = ast.get_docstring(ast.parse(file.read_text()))
    commands = re.findall(r"python -m ktune search (.+)", docstring)
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    files = {parser.parse_args(shlex.split(words)).file for words in commands}
    assert files == {f"experiments/{file.name}"}
