"""Diabetes: how far will the disease have progressed in a year? 442 patients.

Shows a regression by a preset. The targets, 152 ± 77, are scaled to 0 ± 1 for training,
by the training rows of each fold; scores and the registered model speak in their units
(``scale_target``). Ten measurements tell no more than half of it, and a net soon learns
the patients by heart.

Expect an R² of 0.4 to 0.5 and an RMSE near 55 on a scale of 25 to 346, no better than
ridge regression: a lesson, too.

    python -m ktune search experiments/regression.py
"""

import ktune

experiment = ktune.Experiment(
    name="diabetes",
    data=ktune.data.diabetes(),
    build=ktune.spaces.mlp(layers=(1, 3), units=(32, 256), batch_norm=False),
    fit={"batch_size": 32, "epochs": 40, "early_stopping": 8},
    objective="rmse",
    trials=15,
)
