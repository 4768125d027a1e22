import sys

import pytest

from ktune.errors import ExperimentError
from ktune.experiment.loading import load_experiment

ONE = """
import ktune
{name} = ktune.Experiment(name="{named}", data=([[0.0]], [0]), build=print)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, text, name="one.py"):
    (folder / name).write_text(text)
    return name


def complaint(reference):
    with pytest.raises(ExperimentError) as raised:
        load_experiment(reference)
    return str(raised.value)


def experiment_text(variable="experiment", named="x"):
    return ONE.format(name=variable, named=named)


def test_the_only_experiment_of_a_file_is_meant(folder):
    loaded = load_experiment(write(folder, experiment_text("mine")))
    assert loaded.experiment.name == "x"
    assert loaded.variable == "mine"
    assert loaded.path == folder / "one.py"


@pytest.mark.parametrize("reference", ["two.py:second", "two.py:other name"])
def test_one_of_several_is_named_by_variable_or_name(folder, reference):
    text = experiment_text("first") + experiment_text("second", "other name")
    write(folder, text, "two.py")
    assert load_experiment(reference).variable == "second"
    assert load_experiment(f"{folder}/{reference}").variable == "second"


def test_a_variable_goes_before_a_name(folder):
    text = experiment_text("a", named="b") + experiment_text("b", named="a")
    assert load_experiment(write(folder, text) + ":a").variable == "a"


def test_several_experiments_without_a_name_are_listed(folder):
    text = experiment_text("first") + experiment_text("second")
    message = complaint(write(folder, text))
    assert message == (
        "one.py: defines 2 experiments: first, second. Say which, for instance "
        "one.py:first"
    )


def test_an_experiment_with_two_names_is_one(folder):
    text = experiment_text("experiment") + "\nalias = experiment\n"
    assert load_experiment(write(folder, text)).variable == "experiment"
    assert load_experiment("one.py:alias").variable == "alias"


def test_a_misspelt_name_is_answered_with_the_nearest_one(folder):
    message = complaint(write(folder, experiment_text("baseline")) + ":basline")
    assert message.endswith("Known: baseline. Did you mean 'baseline'?")


def test_a_file_without_an_experiment_says_what_to_add(folder):
    message = complaint(write(folder, "x = 1"))
    assert message.startswith("one.py: defines no experiment. Add for instance")


def test_a_missing_file_is_answered_with_the_nearest_one(folder):
    write(folder, "", "mnist.py")
    assert complaint("mnits.py") == (
        "there is no file 'mnits.py'. Did you mean 'mnist.py'?"
    )
    assert "there is no file 'mnits.py'" in complaint("mnits.py:name")
    assert "there is no file 'none/mnist.py'" in complaint("none/mnist.py")


@pytest.mark.parametrize("name", ["folder", "folder.py", "notes.txt"])
def test_what_is_no_python_file_is_an_error(folder, name):
    write(folder, "", "notes.txt")
    for made in ("folder", "folder.py"):
        (folder / made).mkdir()
    assert complaint(name) == f"'{name}' is not a Python file (.py)."


def test_a_syntax_error_is_shown_with_its_line(folder):
    message = complaint(write(folder, "x = 1\nif x\n    pass\n"))
    assert message.startswith("one.py, line 2: ")
    assert message.endswith(": if x")


@pytest.mark.parametrize("is_absolute", [True, False])
def test_an_exception_is_shown_with_its_line(folder, is_absolute):
    name = write(folder, "def f():\n    return 1 / 0\n\n\nf()\n")
    reference = str(folder / name) if is_absolute else name
    message = complaint(reference)
    assert message == f"{reference}, line 2: ZeroDivisionError: division by zero"


def test_a_missing_module_is_shown_with_its_line(folder):
    message = complaint(write(folder, "\nimport no_such_module\n"))
    assert message.startswith("one.py, line 2: ModuleNotFoundError: No module named")


def test_a_syntax_error_in_a_local_module_names_that_module(folder):
    write(folder, "def f(:\n", "broken_helper.py")
    message = complaint(write(folder, "import broken_helper\n"))
    assert "broken_helper.py, line 1" in message


def test_a_file_that_exits_is_an_error(folder):
    message = complaint(write(folder, "import sys\nsys.exit(3)\n"))
    assert message == "one.py, line 2: SystemExit: 3"


def test_a_bad_experiment_is_shown_with_file_and_line(folder):
    text = experiment_text().replace("build=print", "build=print, cv=1")
    message = complaint(write(folder, text))
    assert message.startswith("one.py, line 3: `cv` must be an int of at least 2")


def test_local_modules_can_be_imported_from_anywhere(folder, monkeypatch):
    (folder / "below").mkdir()
    write(folder / "below", "NAME = 'from helper'\n", "local_helper.py")
    text = "from local_helper import NAME\n" + experiment_text()
    write(folder / "below", text.replace('"x"', "NAME"))
    monkeypatch.chdir("/")
    loaded = load_experiment(str(folder / "below" / "one.py"))
    assert loaded.experiment.name == "from helper"


def test_a_file_runs_as_a_module_and_not_as_a_script(folder):
    text = experiment_text() + "\nassert __name__ != '__main__'\n"
    assert load_experiment(write(folder, text)).variable == "experiment"


def test_what_a_file_defines_can_be_pickled_by_name(folder):
    text = "class Thing:\n    pass\n" + experiment_text()
    load_experiment(write(folder, text, "my-file.py"))
    module = sys.modules["ktune_experiment_my_file"]
    assert sys.modules[module.Thing.__module__] is module


def test_a_file_that_has_changed_is_read_anew(folder):
    load_experiment(write(folder, experiment_text("before")))
    changed = experiment_text("after_it_was_changed")
    assert load_experiment(write(folder, changed)).variable == "after_it_was_changed"


def test_a_colon_in_a_folder_name_is_no_reference(folder):
    (folder / "a:b").mkdir()
    write(folder / "a:b", experiment_text())
    assert load_experiment("a:b/one.py").variable == "experiment"
    assert load_experiment("a:b/one.py:experiment").variable == "experiment"
