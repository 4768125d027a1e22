"""Test scores and model version are those of the refitted trial only."""

import io
import json

import pytest
from made_up_searches import add_search, trial_result

from ktune.cli.main import main
from ktune.cli.summary import print_search, search_as_dict
from ktune.errors import UnknownReference
from ktune.report.reading import read_search_view
from ktune.testing.fakes import make_trial
from ktune.tracking import names
from ktune.tracking.model_registry import lineage
from ktune.tracking.reader import find_search
from ktune.tracking.records import MetricPoint
from ktune.tracking.refit_record import resume_command
from ktune.tuner.result import result_of

TEST_SCORES = [
    MetricPoint("test_accuracy", 0.625),
    MetricPoint("refit_epochs", 2),
]


def add_better_trial(logger):
    trial = make_trial(2, {"units": 24})
    logger.track(trial, trial_result(0.7), "good", {"findings": []})


def refit(store, logger, number, score):
    """Record the refit of a trial, and a registered version of it."""
    logger.log_best(make_trial(number), trial_result(score), TEST_SCORES)
    store.client.create_registered_model("birds")
    store.client.create_model_version(
        "birds",
        source=str(store.location.folder),
        run_id=logger.run_id,
        tags=lineage(logger.run_id, logger.trial_runs[number]),
        await_creation_for=0,
    )
    logger.log_model("birds/1", "champion: first version of this model")


@pytest.fixture
def refitted(store):
    """A finished search whose trial 1 was refitted."""
    logger = add_search(store, trial_result(0.5), trial_result(0.6))
    refit(store, logger, 1, 0.6)
    return logger


@pytest.fixture
def resumed(store, refitted):
    """The same search, resumed and killed after it had found a better trial."""
    add_better_trial(refitted)
    store.reopen(refitted.run_id)
    return refitted


@pytest.fixture
def deleted(store, refitted):
    """The same search, after its best trial was deleted in MLflow."""
    store.client.delete_run(refitted.trial_runs[1])
    return refitted


def result(store, logger):
    return result_of(store, find_search(store, logger.run_id))


def screen(store, logger):
    stream = io.StringIO()
    print_search(result(store, logger), stream)
    return " ".join(stream.getvalue().split())


def test_the_refitted_trial_has_its_test_scores_and_its_version(store, refitted):
    found = result(store, refitted)
    assert found.test["accuracy"].value == 0.625
    assert found.registration.version == 1
    assert found.refit.problem == ""
    shown = screen(store, refitted)
    assert "Trial 1 refitted on all" in shown
    assert "0.625" in shown


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            "resumed",
            "Trial 2 is not refitted yet: model birds/1 and the test scores are of "
            "trial 1 ({trial}). The search is running, or was interrupted; to refit "
            "and register the best trial: ktune search birds.py --resume {search}",
        ),
        (
            "deleted",
            "Trial 0 is not refitted yet: model birds/1 and the test scores are of "
            "trial 1 ({trial}), and its run is gone from MLflow. To refit and register "
            "the best trial: ktune search birds.py --resume {search}",
        ),
    ],
)
def test_another_best_trial_is_not_credited_with_the_refit(
    store, case, message, request
):
    logger = request.getfixturevalue(case)
    found = result(store, logger)
    message = message.format(trial=logger.trial_runs[1][:8], search=logger.run_id[:8])
    assert found.refit.problem == message
    assert (found.test, found.registration) == ({}, None)
    assert search_as_dict(found)["refit"] == {"trial": 1, "problem": message}
    with pytest.raises(UnknownReference, match="is not refitted yet"):
        _ = found.model
    shown = screen(store, logger)
    assert message in shown
    assert "0.625" not in shown
    assert "Registered" not in shown


def test_the_report_shows_no_test_scores_of_another_trial(store, refitted):
    def view():
        record = {"data": {"task": "binary"}}
        search = find_search(store, refitted.run_id)
        return read_search_view(store, search, record=record)

    assert view().test["accuracy"].value == 0.625
    add_better_trial(refitted)
    assert view().test == {}


def test_a_crash_between_scores_and_tags_leaves_no_record_of_a_refit(
    store, resumed, monkeypatch
):
    calls = []

    def die_later(run_id, tags):
        calls.append(tags)
        if len(calls) > 1:
            raise KeyboardInterrupt
        write(run_id, tags)

    write = store.set_tags
    monkeypatch.setattr(resumed._store, "set_tags", die_later)
    with pytest.raises(KeyboardInterrupt):
        resumed.log_best(make_trial(2), trial_result(0.7), TEST_SCORES)
    found = result(store, resumed)
    assert found.refit.trial is None
    assert found.test == {}
    assert found.refit.problem.startswith("Trial 2 is not refitted yet. The search")


def test_show_prints_the_refit_of_the_best_trial_only(store, resumed, capsys):
    uri = ["--tracking-uri", store.location.uri]
    assert main(["show", resumed.run_id, "--json", *uri]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["best"]["trial"] == 2
    assert (shown["test"], shown["model"]) == ({}, None)


def test_a_search_from_python_is_resumed_from_python():
    command = resume_command("ktune.search(experiment)", "0123456789", "db")
    assert command == "ktune.search(experiment, resume='01234567', storage='db')"


def test_a_search_without_a_complete_trial_has_no_problem(store):
    found = result(store, add_search(store))
    assert (found.refit.problem, found.refit.trial, found.test) == ("", None, {})
    assert names.BEST_RUN not in found.view.tags
