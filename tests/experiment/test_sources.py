import sys

import pytest

from ktune.experiment.loading import load_experiment
from ktune.experiment.sources import find_sources, read_sources


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An experiment file that imports a local module and a local package."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "parts_of_snapshot").mkdir()
    (tmp_path / "parts_of_snapshot" / "__init__.py").write_text("")
    (tmp_path / "parts_of_snapshot" / "layers.py").write_text("WIDTH = 3\n")
    (tmp_path / "helper_of_snapshot.py").write_text("NAME = 'x'\n")
    (tmp_path / "never_imported.py").write_text("raise SystemExit\n")
    (tmp_path / "secret.env").write_text("TOKEN=1\n")
    (tmp_path / "main.py").write_text(
        "import ktune, numpy, parts_of_snapshot.layers\n"
        "from helper_of_snapshot import NAME\n"
        "experiment = ktune.Experiment(name=NAME, data=([[0.0]], [0]), build=print)\n"
    )
    load_experiment(str(tmp_path / "main.py"))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_file_and_the_local_modules_it_imports_are_kept(project):
    sources = read_sources(find_sources(project / "main.py"))
    assert set(sources) == {
        "main.py",
        "helper_of_snapshot.py",
        "parts_of_snapshot/__init__.py",
        "parts_of_snapshot/layers.py",
    }
    assert sources["helper_of_snapshot.py"] == b"NAME = 'x'\n"


def test_installed_packages_below_the_folder_are_left_out(project):
    """A virtual environment often stands beside the experiment."""
    installed = project / ".venv" / "site-packages" / "installed_thing.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    sys.path.insert(0, str(installed.parent))
    __import__("installed_thing")
    assert not any("venv" in name for name in find_sources(project / "main.py"))


def test_enormous_files_are_left_out(project):
    (project / "helper_of_snapshot.py").write_text("#" * 1_000_001)
    assert "helper_of_snapshot.py" not in find_sources(project / "main.py")


@pytest.fixture
def project_of_folders(tmp_path, monkeypatch):
    """An experiment in a folder beside the package it imports."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    package = tmp_path / "nets_of_sources"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "blocks.py").write_text("from . import sizes\n")
    (package / "sizes.py").write_text("UNITS = 8\n")
    (package / "unused.py").write_text("raise SystemExit\n")
    (tmp_path / "lazy_of_sources.py").write_text("DEPTH = 2\n")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "main.py").write_text(
        "import ktune, numpy, json\n"
        "from nets_of_sources.blocks import sizes\n"
        "def build(hp):\n    import lazy_of_sources\n"
        "experiment = ktune.Experiment(name='x', data=([[0.0]], [0]), build=build)\n"
    )
    loaded = load_experiment(str(tmp_path / "experiments" / "main.py"))
    loaded.experiment.build(None)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_modules_beside_the_folder_of_the_experiment_are_kept(project_of_folders):
    found = find_sources(project_of_folders / "experiments" / "main.py")
    assert set(found) == {
        "main.py",
        "nets_of_sources/__init__.py",
        "nets_of_sources/blocks.py",
        "nets_of_sources/sizes.py",
        "lazy_of_sources.py",
    }
    package = project_of_folders / "nets_of_sources"
    assert found["nets_of_sources/sizes.py"] == package / "sizes.py"
