"""The refit is trained by the same task and within the same memory as trials."""

import numpy as np
import pytest

from ktune.data.dataset import Dataset, Kind, Task
from ktune.data.folds import split
from ktune.errors import RefitFailed, TrialFailed
from ktune.evaluation import refit as refit_module
from ktune.evaluation.context import make_context
from ktune.evaluation.refit import train_again
from ktune.evaluation.training_task import task_of_trial
from ktune.experiment.experiment import Experiment
from ktune.experiment.fit_settings import make_fit_settings
from ktune.testing.fakes import FakeModel, make_trial


class Sized(FakeModel):
    built = True

    def count_params(self):
        return 10**6


class NoTraining:
    """A training that builds its model and learns nothing."""

    def __init__(self, task, most_rows):
        if task.settings.batch_size > most_rows:
            raise MemoryError
        self._model = task.build()

    def run_epoch(self):
        return []

    def model(self, fold_index):
        return self._model

    def close(self):
        pass


def make(**fields):
    y = np.array([0, 1] * 20)
    x = np.arange(80.0).reshape(40, 2)
    data = Dataset("rows", x, y, Task.BINARY, Kind.TABULAR)
    experiment = Experiment(
        name="x", data=(x, y), build=lambda hp: Sized(), cv=2, **fields
    )
    return make_context(experiment, data, split(data, cv=2, test_size=0.0, seed=0))


@pytest.fixture
def tasks(monkeypatch):
    """Train nothing; collect the tasks of refits."""
    seen = []

    class Trainer:
        most_rows = 10**6

        def start(self, task):
            seen.append(task)
            return NoTraining(task, self.most_rows)

    monkeypatch.setattr(refit_module, "choose_trainer", lambda *_: Trainer())
    return seen, Trainer


def test_a_refit_that_cannot_fit_in_memory_is_refused_with_the_remedy(
    tasks, monkeypatch
):
    monkeypatch.setattr(
        "ktune.evaluation.model_builder.available_bytes", lambda: 1000.0
    )
    with pytest.raises(RefitFailed, match=r"trial 3 cannot .* memory .*GiB are free"):
        train_again(make(), make_trial(3), epochs=1)


def test_a_refit_is_tried_with_half_the_batch_too(tasks):
    seen, trainer = tasks
    trainer.most_rows = 16
    train_again(make(retry_half_batch=True), make_trial(0), epochs=1)
    assert [task.settings.batch_size for task in seen] == [32, 16]
    with pytest.raises(RefitFailed, match="retry_half_batch=True"):
        train_again(make(), make_trial(0), epochs=1)


def test_a_refit_differs_from_its_trial_in_rows_and_seed_only(tasks):
    seen, _ = tasks
    settings = {"batch_size": 8, "epochs": 9}
    context, trial = make(fit=settings), make_trial(0)
    train_again(context, trial, epochs=7)
    (refitted,), of_trial = seen, task_of_trial(context, trial)
    # The epochs too, which are the length of a learning rate schedule.
    assert refitted.settings == of_trial.settings == make_fit_settings(settings)
    assert len(refitted.folds[0].train) == 40
    assert not set(refitted.seeds) & set(of_trial.seeds)


def test_a_training_that_diverges_names_its_trial(monkeypatch):
    class Trainer:
        def start(self, task):
            raise TrialFailed("the loss is nan")

    monkeypatch.setattr(refit_module, "choose_trainer", lambda *_: Trainer())
    with pytest.raises(RefitFailed, match="trial 5 cannot be refitted: the loss is"):
        train_again(make(), make_trial(5), epochs=1)
