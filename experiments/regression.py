"""Diabetes: how far will the disease have progressed in a year? 442 patients.

Shows a regression with a preset and a few folds. Ten measurements tell less than half
of it, and a small net soon learns the patients by heart.

Expect an R² of 0.4 to 0.5 and an RMSE near 55 on a scale of 25 to 346: no more than
ridge regression, which is the lesson.

    python -m ktune search experiments/regression.py
"""

import ktune

experiment = ktune.Experiment(
    name="diabetes",
    data=ktune.data.diabetes(),
    build=ktune.spaces.mlp(layers=(1, 3), units=(32, 256), batch_norm=False),
    fit={"batch_size": 32, "epochs": 60, "early_stopping": 10},
    objective="rmse",
    trials=15,
)
