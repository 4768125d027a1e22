"""Code of a model is extracted from the file it stands in."""

import sys
from types import ModuleType

import pytest

from ktune.experiment.model_code import collect_code, needed_part

FILE = """
from __future__ import annotations

import csv
import math as m

from helper import scale

X, y = csv.reader(open("/no/such/file"))
FACTOR = 2.0
TABLE = {}
TABLE["a"] = 1


class Base:
    def call(self, x):
        y = scale(x)
        return y * FACTOR


@staticmethod
class Gate(Base):
    rate = m.pi


def other():
    return X


if __name__ == "__main__":
    Gate().run()

experiment = Experiment(data=(X, y), build=other)
"""


def test_a_class_brings_what_it_uses_and_nothing_else():
    part = needed_part(FILE, {"Gate"})
    assert "class Base" in part
    assert "FACTOR = 2.0" in part
    assert "import math as m" in part
    assert "from helper import scale" in part
    for left_out in ("csv", "other", "experiment", "run()", "TABLE"):
        assert left_out not in part


def test_a_local_variable_does_not_bring_a_global_one_of_its_name():
    """``y`` in a method is not the ``y`` of the data."""
    assert "X, y" not in needed_part(FILE, {"Base"})


def test_a_function_brings_the_data_it_reads():
    assert "X, y = csv.reader" in needed_part(FILE, {"other"})


def test_statements_that_change_a_needed_name_are_kept():
    assert needed_part(FILE, {"TABLE"}).splitlines()[-1] == "TABLE['a'] = 1"


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """An experiment file that imports from a package beside it."""
    package = tmp_path / "layers_of_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "gates.py").write_text("from layers_of_test.math import double\n")
    (package / "math.py").write_text("def double(x): return 2 * x\n")
    file = tmp_path / "file.py"
    file.write_text("from layers_of_test.gates import double\nf = double\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = ModuleType("ktune_experiment_file")
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(file.read_text(), vars(module))
    yield module.__name__
    for name in [n for n in sys.modules if n.startswith("layers_of_test")]:
        del sys.modules[name]


def test_local_modules_travel_whole_with_their_packages(entry):
    code = collect_code({entry: {"f"}})
    assert sorted(code.files) == [
        "ktune_experiment_file.py",
        "layers_of_test/__init__.py",
        "layers_of_test/gates.py",
        "layers_of_test/math.py",
    ]
    assert not code.needs_ktune


def test_a_class_inside_a_function_is_named_as_missing(entry):
    code = collect_code({entry: {"build.<locals>.Gate"}})
    assert "Gate is defined inside the function build" in code.missing[0]


def test_installed_modules_do_not_travel():
    assert collect_code({"numpy": {"mean"}}).files == {}
