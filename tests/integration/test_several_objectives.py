"""A real search of two objectives: its front, the trial taken, and what is recorded."""

import sys

import mlflow
import pytest
from browser import chromium
from no_training import without_refit
from selenium.webdriver.common.by import By

import ktune
from ktune.cli.main import main
from ktune.listener import Listener
from ktune.metrics.ranking import Goal

pytestmark = pytest.mark.slow


def build(hp):
    import keras

    model = keras.Sequential()
    units = hp.Int("units", 1, 32)
    model.add(keras.layers.Dense(units, activation="relu"))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log", default=3e-2)
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pareto")
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    experiment = ktune.Experiment(
        name="two",
        data=ktune.data.breast_cancer(),
        build=build,
        fit={"epochs": 3, "batch_size": 64},
        cv=2,
        trials=5,
        sampler="nsga2",
        objective=["f1", "n_parameters"],
        max_parameters=700,
    )
    result = ktune.search(experiment, tracking_uri=uri, listener=Listener())
    return uri, result


def test_the_front_is_tagged_and_the_rule_is_recorded(searched):
    uri, result = searched
    client = mlflow.MlflowClient(uri, uri)
    parent = client.get_run(result.run_id)
    assert parent.data.tags["ktune.objectives"] == "f1 max, n_parameters min"
    assert parent.data.tags["ktune.pick"] == "one_standard_error"
    assert parent.data.params["pruner"] == "none"
    trials = result.trials
    complete = trials[trials.state == "complete"]
    for row in complete.itertuples():
        is_beaten = (
            (complete.val_f1 >= row.val_f1)
            & (complete.n_parameters <= row.n_parameters)
            & (
                (complete.val_f1 > row.val_f1)
                | (complete.n_parameters < row.n_parameters)
            )
        ).any()
        assert row.is_on_front == (not is_beaten)
        tag = client.get_run(row.run_id).data.tags["ktune.pareto_front"]
        assert tag == str(row.is_on_front).lower()


def test_what_is_registered_is_on_the_front_and_read_back_the_same(searched):
    uri, result = searched
    assert result.trial_runs[0].is_on_front
    assert result.best.number == result.trial_runs[0].number
    found = ktune.load("two", tracking_uri=uri)
    assert found.best.number == result.best.number
    assert (
        found.goal == result.goal == Goal(result.goal.objectives, "one_standard_error")
    )
    assert result.model.count_params() <= 700


def test_a_model_above_the_limit_is_a_failed_trial_with_its_reason(searched):
    _, result = searched
    for run in result.trial_runs:
        is_above = 33 * int(run.params["units"]) + 1 > 700
        assert (run.state == "failed") == is_above or run.state == "complete"
        if run.state == "failed":
            assert "max_parameters=700" in run.tags["ktune.failure"]
    assert len(result.trials[result.trials.state == "complete"]) == 5


def test_runs_marks_the_front_and_the_end_of_the_search_says_the_rule(searched, capsys):
    uri, result = searched
    from ktune.cli.summary import print_search

    assert main(["runs", "two", "--tracking-uri", uri]) == 0
    table = capsys.readouterr().out
    assert "front" in table
    assert table.count("*") == sum(run.is_on_front for run in result.trial_runs)
    print_search(result, sys.stdout)
    assert "Taken by the rule 'one_standard_error'" in capsys.readouterr().out


def test_another_rule_can_be_given_when_the_search_goes_on(searched):
    uri, result = searched
    experiment = ktune.Experiment(
        name="other",
        data=ktune.data.breast_cancer(),
        build=build,
        fit={"epochs": 1},
        cv=2,
        trials=1,
        objective=["f1", "latency_ms"],
        pick="best",
    )
    quiet = {"tracking_uri": uri, "listener": Listener()}
    with without_refit():
        first = ktune.search(experiment, **quiet)
        assert first.trials.latency_ms.gt(0).all()
        again = ktune.search(experiment, resume=True, trials=2, **quiet)
    assert again.run_id == first.run_id
    assert len(again.trials) == 2
    scores = again.trials.val_f1
    assert again.best.score == pytest.approx(scores.max())


def test_the_report_draws_the_front(searched, tmp_path):
    _, result = searched
    report = result.report()
    assert report._repr_html_().startswith("<iframe srcdoc=")
    page = report.save(tmp_path / "report.html")
    with chromium(tmp_path / "profile") as window:
        window.get(page.as_uri())
        section = window.find_element(By.ID, "pareto")
        assert "Pareto front" in section.text
        assert [e for e in window.get_log("browser") if e["level"] == "SEVERE"] == []
