from views import classification_view, regression_view, with_curves

from ktune.report.terminal import draw_curves, draw_trial


def test_curves_fit_their_frame():
    view = with_curves(
        classification_view(0.9, 0.8),
        train_loss=[[1.0, 0.5, 0.25]],
        val_loss=[[1.0, 0.7, 0.6]],
    )
    drawing = draw_curves(view, "loss", width=30, height=6)
    lines = drawing.splitlines()
    assert len(lines) == 1 + 6 + 2
    assert max(len(line) for line in lines[1:]) <= 42
    assert "1" in lines[1]
    assert lines[6].split("│")[0].strip() == "0.25"


def test_one_epoch_and_flat_curves_are_drawn():
    view = with_curves(
        classification_view(0.9, 0.8), train_loss=[[0.5]], val_loss=[[0.5]]
    )
    assert "loss" in draw_curves(view, "loss", width=20, height=4)


def test_a_trial_shows_loss_and_objective():
    view = with_curves(
        regression_view(0.9, 0.8), train_loss=[[1.0, 0.5]], val_loss=[[1.0, 0.7]]
    )
    text = draw_trial(view)
    assert "loss by epoch" in text
    assert "r2 by epoch" in text


def test_a_trial_without_curves_says_so():
    assert "No curves" in draw_trial(classification_view(0.9, 0.8, curves={}))
