import io

import pytest
from rich.console import Console

from ktune.experiment.experiment import Experiment, override
from ktune.listener import Listener
from ktune.metrics.objectives import make_objective
from ktune.testing.fakes import complete, failed, make_trial
from ktune.trial import EpochReport, FoldResult, TrialResult, TrialState
from ktune.tuner.progress import (
    LiveListener,
    PlainListener,
    Scoreboard,
    make_listener,
    time_left_text,
)

EXPERIMENT = Experiment(name="digits", data=([[0.0]], [0]), build=print, trials=4)
ACCURACY = make_objective("accuracy")


def result(*accuracies, state=TrialState.COMPLETE):
    folds = tuple(
        FoldResult(k, 1, 1, {"accuracy": value}, {})
        for k, value in enumerate(accuracies)
    )
    score = sum(accuracies) / len(accuracies)
    return TrialResult(state, score=score, epochs=7, folds=folds, seconds=1.25)


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def listener(stream, monkeypatch):
    monkeypatch.setattr("ktune.tuner.progress.time.monotonic", lambda: 10.0)
    plain = PlainListener(Console(file=stream, width=40, highlight=False))
    plain.on_search_start(EXPERIMENT, ACCURACY, "0123456789abcdef")
    return plain


def lines(stream):
    return stream.getvalue().splitlines()


def test_the_first_line_says_what_is_searched_for(listener, stream):
    assert lines(stream) == [
        "search 01234567 of 'digits': 4 trials for the highest accuracy by optuna (tpe)"
    ]


def test_errors_are_searched_for_the_lowest(stream):
    plain = PlainListener(Console(file=stream))
    plain.on_search_start(EXPERIMENT, make_objective("loss"), "0123")
    assert "for the lowest loss" in lines(stream)[0]


def test_a_complete_trial_is_one_line(listener, stream):
    listener.on_trial_end(make_trial(3, {"units": 64, "rate": 1e-3}), result(0.7, 0.9))
    assert lines(stream)[1] == (
        "trial   3 done      1.2s accuracy 0.8000 ±0.1414* epoch  7  "
        "units=64, rate=0.001  [best accuracy 0.8000 (trial 3); 0 s left]"
    )


def test_a_worse_trial_has_no_star(listener, stream):
    for number, score in enumerate([0.7, 0.5, 0.9]):
        listener.on_trial_end(make_trial(number), result(score))
    stars = ["*" in line for line in lines(stream)[1:]]
    assert stars == [True, False, True]


def test_a_pruned_trial_is_never_the_best(listener, stream):
    pruned = result(0.9, 0.9, state=TrialState.PRUNED)
    listener.on_trial_end(make_trial(0), pruned)
    assert "pruned" in lines(stream)[1]
    assert "no score yet" in lines(stream)[1]


def test_a_failed_trial_shows_the_first_line_of_its_reason(listener, stream):
    listener.on_trial_end(make_trial(0), failed("bad [shape]\nand more"))
    assert lines(stream)[1] == (
        "trial   0 failed    0.0s ValueError: bad [shape]  "
        "[no score yet; time left unknown]"
    )


def test_a_failure_without_words_is_still_a_line(listener, stream):
    listener.on_trial_end(make_trial(0), failed(""))
    assert "ValueError: " in lines(stream)[1]


def test_one_fold_has_no_spread(listener, stream):
    listener.on_trial_end(make_trial(0), result(0.7))
    assert "accuracy 0.7000*" in lines(stream)[1]


def test_phases_are_lines_and_epochs_are_not(listener, stream):
    listener.on_phase("registering the model")
    listener.on_trial_start(make_trial(0))
    listener.on_epoch(EpochReport(0, 0, 5, 0.5))
    listener.close()
    assert lines(stream)[1:] == ["registering the model …"]


def test_time_left_is_forecast_from_the_trials_so_far(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("ktune.tuner.progress.time.monotonic", lambda: now[0])
    board = Scoreboard()
    board.start(EXPERIMENT, ACCURACY)
    assert board.seconds_left() is None
    for seconds, state, left in [
        (30, TrialState.COMPLETE, 90),
        (10, TrialState.FAILED, 120),
        (20, TrialState.PRUNED, 60),
    ]:
        now[0] += seconds
        board.count(make_trial(0), TrialResult(state, score=0.5))
        assert board.seconds_left() == left
    assert (board.finished, board.pruned, board.failed) == (2, 1, 1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s left"), (89, "89 s left"), (90, "2 min left")]
)
def test_time_left_is_in_seconds_or_minutes(seconds, text):
    assert time_left_text(seconds) == text


def test_the_smallest_error_is_the_best():
    board = Scoreboard()
    board.start(EXPERIMENT, make_objective("rmse"))
    assert board.count(make_trial(0), complete(3.0))
    assert board.count(make_trial(1), complete(2.0))
    assert not board.count(make_trial(2), complete(2.5))
    assert board.best_text() == "best rmse 2.0000 (trial 1)"


def test_the_listener_fits_the_place(stream):
    assert isinstance(make_listener(quiet=True), Listener)
    assert isinstance(make_listener(stream=stream), PlainListener)


def test_a_live_display_lets_finished_trials_scroll_by(stream):
    terminal = Console(file=stream, force_terminal=True, width=120, highlight=False)
    live = LiveListener(terminal)
    live.on_search_start(EXPERIMENT, ACCURACY, "0123456789")
    live.on_phase("refitting")
    live.on_trial_start(make_trial(0))
    live.on_epoch(EpochReport(0, 0, 5, 0.5))
    live.on_trial_end(make_trial(0), result(0.7, 0.9))
    live.on_trial_end(make_trial(1), failed("[bold]no markup"))
    live.close()
    live.close()
    text = stream.getvalue()
    assert "search 01234567 of 'digits'" in text
    assert "accuracy 0.8000" in text
    assert "[bold]no markup" in text


@pytest.mark.parametrize(
    ("timeout", "text"),
    [(None, "80 s left"), (200, "80 s left"), (80, "about 8 of 10 trials in 80 s")],
)
def test_a_short_timeout_shows_the_number_of_trials_until_then(
    timeout, text, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr("ktune.tuner.progress.time.monotonic", lambda: now[0])
    board = Scoreboard()
    experiment = override(EXPERIMENT, {"trials": 10, "timeout": timeout})
    board.start(experiment, ACCURACY)
    for _ in range(2):
        now[0] += 10
        board.count(make_trial(0), TrialResult(TrialState.COMPLETE, score=0.5))
    assert board.forecast() == text
