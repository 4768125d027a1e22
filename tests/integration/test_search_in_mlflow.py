"""What a finished search leaves in MLflow, read with MLflow's own client."""

import json
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

DEFAULTS = ("accuracy", "precision", "recall", "f1", "log_loss", "roc_auc")


@pytest.fixture
def client(small_search):
    return mlflow.MlflowClient(small_search.uri, small_search.uri)


@pytest.fixture
def mlflow_here(small_search, monkeypatch):
    """MLflow's fluent functions use the store of the small search."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", small_search.uri)


@pytest.fixture
def parent(client, small_search):
    return client.get_run(small_search.result.run_id)


@pytest.fixture
def trials(client, parent):
    return client.search_runs(
        [parent.info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
    )


def test_the_search_is_a_finished_parent_run_of_the_experiment(client, parent):
    experiment = client.get_experiment(parent.info.experiment_id)
    assert experiment.name == "small"
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["ktune.kind"] == "search"
    assert parent.data.params["sampler"] == "random"
    assert parent.data.params["n_rows"] == "455"


def test_every_trial_is_a_child_run_with_number_and_state(trials):
    assert sorted(int(run.data.tags["ktune.trial"]) for run in trials) == [0, 1, 2, 3]
    states = {run.data.tags["ktune.state"] for run in trials}
    assert states <= {"complete", "pruned"}
    status = {"complete": "FINISHED", "pruned": "KILLED"}
    for run in trials:
        assert run.info.status == status[run.data.tags["ktune.state"]]


def test_a_trial_has_fold_means_deviations_and_fold_scores(trials):
    for run in trials:
        metrics = run.data.metrics
        for name in DEFAULTS:
            folds = [metrics[f"fold{k}_val_{name}"] for k in range(3)]
            assert metrics[f"val_{name}"] == pytest.approx(np.mean(folds))
            deviation = np.std(folds, ddof=1)
            assert metrics[f"val_{name}_std"] == pytest.approx(deviation)
            assert f"train_{name}" in metrics
        assert metrics["fit_seconds"] > 0
        assert metrics["n_parameters"] > 0


def test_curves_have_a_point_an_epoch(client, trials):
    for run in trials:
        epochs = int(run.data.metrics["epochs"])
        for curve in ("epoch_val_loss", "epoch_train_loss", "epoch_val_accuracy"):
            points = client.get_metric_history(run.info.run_id, curve)
            assert [point.step for point in points] == list(range(epochs))


def test_the_score_is_the_curve_at_one_epoch_for_all_folds(client, trials):
    for run in trials:
        history = client.get_metric_history(run.info.run_id, "epoch_val_accuracy")
        curve = [point.value for point in history]
        assert run.data.metrics["val_accuracy"] == pytest.approx(max(curve))
        assert run.data.metrics["best_epoch"] == int(np.argmax(curve))


def test_inactive_values_are_not_logged(trials):
    for run in trials:
        params = run.data.params
        if params["kind"] == "wide":
            assert "layers" not in params
            assert not any(name.startswith("units_") for name in params)
        else:
            assert "width" not in params
            units = [name for name in params if name.startswith("units_")]
            assert len(units) == int(params["layers"])


def test_trial_zero_is_the_default_values(trials):
    zero = next(run for run in trials if run.data.tags["ktune.trial"] == "0")
    assert zero.data.params["kind"] == "wide"
    assert zero.data.params["width"] == "8"
    assert float(zero.data.params["learning_rate"]) == pytest.approx(1e-3)


def test_a_trial_keeps_its_record_predictions_and_confusion_matrix(client, trials):
    run_id = trials[0].info.run_id
    found = {item.path for item in client.list_artifacts(run_id)}
    assert found >= {
        "trial.json",
        "out_of_fold.npz",
        "confusion_matrix.csv",
        "model_summary.txt",
    }
    arrays = np.load(client.download_artifacts(run_id, "out_of_fold.npz"))
    assert sorted(arrays["row"]) == list(range(455))
    hits = (arrays["prediction"] > 0.5) == arrays["target"]
    confusion = pd.read_csv(
        client.download_artifacts(run_id, "confusion_matrix.csv"), index_col=0
    )
    assert np.trace(confusion) == hits.sum()


def test_source_folds_and_environment_are_recorded(client, parent):
    run_id = parent.info.run_id
    source = {item.path for item in client.list_artifacts(run_id, "source")}
    assert source == {"source/small.py", "source/helper_of_experiment.py"}
    file = Path(client.download_artifacts(run_id, "environment.json"))
    environment = json.loads(file.read_text())
    assert "keras" in environment["packages"]
    folds = np.load(client.download_artifacts(run_id, "folds.npz"))
    validation = np.concatenate([folds[f"validation{k}"] for k in range(3)])
    assert sorted(validation) == list(range(455))
    assert not set(folds["rows"]) & set(folds["test_rows"])


def test_the_data_set_is_an_input_of_the_search(parent):
    dataset = parent.inputs.dataset_inputs[0].dataset
    assert dataset.name == "breast_cancer"
    assert dataset.digest == parent.data.tags["ktune.data_digest"]


def test_test_scores_stand_with_their_intervals_on_the_parent(parent):
    metrics = parent.data.metrics
    for name in ("accuracy", "recall", "f1"):
        low, high = metrics[f"test_{name}_low"], metrics[f"test_{name}_high"]
        assert low <= metrics[f"test_{name}"] <= high
    assert metrics["best_val_accuracy"] > 0.8


def test_the_study_stands_in_optunas_journal_and_agrees(small_search, trials):
    run_id = small_search.result.run_id
    journal = small_search.folder / "mlruns" / "studies" / f"{run_id}.log"
    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.load_study(study_name=None, storage=storage)
    scores = sorted(
        run.data.metrics["val_accuracy"]
        for run in trials
        if run.data.tags["ktune.state"] == "complete"
    )
    told = sorted(
        trial.value
        for trial in study.get_trials()
        if trial.state == optuna.trial.TrialState.COMPLETE
    )
    assert told == pytest.approx(scores)


def test_the_model_is_registered_as_champion_with_lineage(client, small_search):
    version = client.get_model_version_by_alias("small", "champion")
    assert version.tags["ktune.search_run_id"] == small_search.result.run_id
    best = small_search.result.best.run_id
    assert version.tags["ktune.trial_run_id"] == best


def test_the_registered_version_has_a_model_card(client, small_search):
    version = client.get_model_version_by_alias("small", "champion")
    logged = client.get_logged_model(version.tags["ktune.logged_model_id"])
    folder = Path(logged.artifact_location.removeprefix("file://"))
    card = (folder / "model_card.md").read_text()
    assert version.description == card
    accuracy = small_search.result.test["accuracy"]
    assert f"{accuracy.value:.4f} [{accuracy.low:.4f}, {accuracy.high:.4f}]" in card
    verdict = client.get_run(small_search.result.best.run_id).data.tags["ktune.verdict"]
    assert f"**{verdict}**" in card
    assert f"ktune reproduce {small_search.result.best.run_id}" in card
    assert "not stated" in card


@pytest.mark.parametrize("kind", ["float32", "float64", "frame", "integers", "list"])
def test_the_registered_model_takes_raw_rows_of_any_kind(
    small_search, mlflow_here, kind
):
    rows = load_breast_cancer().data[:20].astype(np.float32)
    named = pd.DataFrame(rows, columns=load_breast_cancer().feature_names)
    given = {
        "float32": rows,
        "float64": rows.astype(np.float64),
        "frame": named,
        "integers": rows.astype(np.int64),
        "list": rows.tolist(),
    }[kind]
    model = mlflow.pyfunc.load_model("models:/small@champion")
    fitted = small_search.result._fitted
    known = named.astype(int) if kind == "integers" else named
    expected = fitted.model.predict(fitted.preprocessing.transform(known), verbose=0)
    np.testing.assert_array_equal(model.predict(given), expected)


def test_the_registered_model_has_signature_and_input_example(mlflow_here):
    info = mlflow.models.get_model_info("models:/small@champion")
    assert len(info.signature.inputs.inputs) == 30
    assert info.signature.outputs.inputs[0].shape == (-1, 1)
    assert info.saved_input_example_info is not None


def test_results_read_as_a_frame_one_row_a_trial(small_search):
    frame = small_search.result.trials
    assert list(frame["trial"]) == [0, 1, 2, 3]
    assert {"state", "kind", "val_accuracy", "train_accuracy", "seconds"} <= set(frame)
    assert frame["learning_rate"].dtype == np.float64
    best = frame.loc[frame[frame.state == "complete"]["val_accuracy"].idxmax()]
    assert best["trial"] == small_search.result.best.number


def test_an_earlier_search_loads_by_name_with_its_model(small_search):
    from ktune.tuner.search import load

    loaded = load("small", tracking_uri=small_search.uri)
    assert loaded.run_id == small_search.result.run_id
    assert dict(loaded.best.values) == dict(small_search.result.best.values)
    rows = np.zeros((3, 30), np.float32)
    np.testing.assert_array_equal(
        loaded.model.predict(rows, verbose=0),
        small_search.result.model.predict(rows, verbose=0),
    )


def test_test_estimates_survive_the_way_through_mlflow(small_search):
    test = small_search.result.test
    assert 0.85 < test["accuracy"].value <= 1
    assert {"accuracy", "log_loss", "roc_auc"} <= set(test)
    for estimate in test.values():
        assert estimate.low <= estimate.value <= estimate.high
