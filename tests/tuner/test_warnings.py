import numpy as np
import pytest

import ktune.data
from ktune.data import load_data
from ktune.data.folds import split
from ktune.evaluation.context import make_context
from ktune.experiment.experiment import Experiment
from ktune.testing.fakes import FakeModel
from ktune.tuner.warnings import warnings_for


def advice(y, *, cv=2, **fields):
    y = np.asarray(y)
    x = np.arange(2.0 * len(y)).reshape(len(y), 2)
    data = load_data((x, y))
    fields = {"build": lambda hp: FakeModel(), "cv": cv, **fields}
    experiment = Experiment(name="x", data=(x, y), **fields)
    partition = split(data, cv=cv, test_size=0.0, seed=0)
    return list(warnings_for(data, make_context(experiment, data, partition)))


RARE = [0] * 36 + [1] * 4


def test_accuracy_on_imbalanced_data_is_warned_about():
    (note,) = advice(RARE)
    assert "90% of the rows are '0'" in note
    assert "scores 0.900" in note
    assert "objective='f1'" in note


@pytest.mark.parametrize(
    ("y", "fields"),
    [(RARE, {"objective": "f1"}), ([0, 1] * 20, {}), ([0, 0, 1] * 12, {})],
)
def test_there_is_nothing_to_say_otherwise(y, fields):
    assert advice(y, **fields) == []


def test_a_fold_without_a_class_to_validate_on_is_pointed_out():
    from sklearn.model_selection import KFold

    y = [0] * 10 + [1] * 10 + [0, 1] * 10
    (note,) = advice(y, cv=KFold(4))
    assert note.startswith("Fold 0 has no validation row of class '1'")
    assert "stratifies" in note


def test_many_categories_and_identifiers_are_pointed_out():
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"row-{i}" for i in range(400)],
            "user": [f"u{i}" for i in rng.integers(0, 150, 400)],
            "y": [0, 1] * 200,
        }
    )
    notes = notes_of(frame)
    assert "400 rows" in notes[0]
    assert "identifier. Consider drop=['id']" in notes[1]
    assert "hashed into 128 columns" in notes[2]


@pytest.mark.parametrize(
    ("write", "told"),
    [
        ("{},5", "numbers that are written as text, such as '0,5'"),
        ("{} kg", "numbers that are written as text, such as '0 kg'"),
        ("€ {}.50", "numbers that are written as text, such as '€ 0.50'"),
    ],
)
def test_numbers_written_as_text_are_called_by_their_name(write, told):
    import pandas as pd

    frame = pd.DataFrame({"a": map(write.format, range(200)), "y": [0, 1] * 100})
    _, note = notes_of(frame)
    assert told in note
    assert "identifier" not in note


def notes_of(frame):
    source = ktune.data.table(frame, target="y")
    data = load_data(source)
    experiment = Experiment(name="x", data=source, build=lambda hp: FakeModel())
    partition = split(data, cv=2, test_size=0.0, seed=0)
    return list(warnings_for(data, make_context(experiment, data, partition)))
