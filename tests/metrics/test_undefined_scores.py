import numpy as np

from ktune.data.dataset import Task
from ktune.metrics.scores import compute_metrics


def test_ranking_is_undefined_where_a_class_has_no_rows():
    predictions = np.full((4, 3), 1 / 3)
    scores = compute_metrics(
        ("roc_auc_ovr", "accuracy"),
        np.array([0, 1, 0, 1]),
        predictions,
        Task.MULTICLASS,
    )
    assert np.isnan(scores["roc_auc_ovr"])
    assert scores["accuracy"] == 0.5
