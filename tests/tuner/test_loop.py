import itertools
import os
import signal
from dataclasses import replace

import pytest

from ktune.errors import SearchAborted
from ktune.listener import Listener
from ktune.testing.fakes import (
    FakeExecutor,
    FakeSearcher,
    complete,
    failed,
    reports,
)
from ktune.trial import TrialResult, TrialState
from ktune.tuner.loop import FIRST_FAILURES, SearchLoop


class Bench:
    """A loop between fakes, and what happened in it."""

    def __init__(
        self, evaluate, *, searcher=None, trials=3, n_workers=1, timeout=None, **more
    ):
        self.events = []
        self.searcher = searcher or FakeSearcher()
        self.searcher.events = self.events
        self.executor = FakeExecutor(evaluate, n_workers)
        self.tracked = []
        self.loop = SearchLoop(
            self.searcher,
            self.executor,
            track=self.track,
            listener=more.get("listener", Listener()),
            trials=trials,
            timeout=timeout,
            trial_timeout=more.get("trial_timeout"),
            reserve=more.get("reserve", lambda: 0.0),
        )

    def track(self, trial, result):
        self.events.append(("track", trial.number))
        self.tracked.append(result)

    def run(self):
        return self.loop.run()


def always(result):
    return lambda trial, report: result


def in_turn(*results):
    queue = iter(results)
    return lambda trial, report: next(queue)


def test_trials_are_asked_for_until_enough_are_finished():
    context = Bench(always(complete()), trials=4)
    outcome = context.run()
    assert (outcome.finished, outcome.asked) == (4, 4)
    assert outcome.reason == "all trials done"
    assert not outcome.is_interrupted
    assert context.executor.is_closed


def test_a_pruned_trial_is_a_finished_one():
    outcome = Bench(always(TrialResult(TrialState.PRUNED, score=0.1)), trials=3).run()
    assert (outcome.finished, outcome.asked) == (3, 3)


def test_a_trial_is_tracked_before_tell():
    context = Bench(always(complete()), trials=2)
    context.run()
    assert context.events == [
        ("ask", 0),
        ("track", 0),
        ("tell", 0),
        ("ask", 1),
        ("track", 1),
        ("tell", 1),
    ]


def test_a_trial_that_cannot_be_tracked_is_not_passed_to_tell():
    context = Bench(always(complete()))

    def track(trial, result):
        raise OSError("disk full")

    context.loop._track = track
    with pytest.raises(OSError, match="disk full"):
        context.run()
    assert context.searcher.told == []
    assert context.executor.is_closed


def test_failed_trials_are_replaced():
    context = Bench(in_turn(failed(), complete(), failed(), complete()), trials=2)
    outcome = context.run()
    assert (outcome.finished, outcome.asked) == (2, 4)
    assert outcome.failures == {"ValueError: boom": 2}
    assert outcome.reason == "all trials done"


def test_a_trial_that_ended_the_process_twice_fails_without_an_evaluation():
    context = Bench(always(complete()), trials=2)
    ask = context.searcher.ask

    def ask_again():
        trial = ask()
        return replace(trial, has_ended_process=trial.number == 0)

    context.searcher.ask = ask_again
    outcome = context.run()
    assert (outcome.finished, outcome.asked) == (2, 3)
    assert context.tracked[0].state is TrialState.FAILED
    assert "ended the process twice" in context.tracked[0].failure.message
    assert "--jobs 2" in context.tracked[0].failure.message
    assert [trial.number for trial, _ in context.searcher.told] == [0, 1, 2]


def test_failed_trials_are_not_replaced_without_end():
    one_good = itertools.chain([complete()], itertools.repeat(failed()))
    context = Bench(lambda trial, report: next(one_good), trials=10)
    outcome = context.run()
    assert outcome.finished == 1
    assert outcome.asked == 2 * 10 + FIRST_FAILURES
    assert outcome.reason == "too many trials failed"


def test_a_space_may_be_exhausted():
    outcome = Bench(always(complete()), searcher=FakeSearcher(2), trials=5).run()
    assert (outcome.finished, outcome.reason) == (2, "the space is exhausted")


def test_a_searcher_with_nothing_to_propose_ends_the_search():
    class Silent(FakeSearcher):
        def ask(self):
            return None

    outcome = Bench(always(complete()), searcher=Silent()).run()
    assert (outcome.asked, outcome.reason) == (0, "the space is exhausted")


def test_a_searcher_may_wait_for_results():
    """It proposes a second trial only after the first is told."""

    class Waiting(FakeSearcher):
        def ask(self):
            return super().ask() if len(self.told) == self._n_asked else None

    context = Bench(always(complete()), searcher=Waiting(), trials=3, n_workers=2)
    assert context.run().finished == 3
    assert context.executor.most_running == 1


@pytest.mark.parametrize(("n_workers", "trials"), [(1, 5), (2, 5), (4, 3)])
def test_workers_are_kept_busy_but_not_with_too_many_trials(n_workers, trials):
    context = Bench(always(complete()), n_workers=n_workers, trials=trials)
    outcome = context.run()
    assert (outcome.finished, outcome.asked) == (trials, trials)
    assert context.executor.most_running == min(n_workers, trials)


def test_a_searcher_stops_a_trial_by_its_reports():
    def evaluate(trial, report):
        may_go_on = reports([0.9, 0.2, 0.9], trial, report)
        return complete() if may_go_on else TrialResult(TrialState.PRUNED)

    context = Bench(evaluate, searcher=FakeSearcher(worst=0.5), trials=1)
    context.run()
    assert context.tracked[0].state is TrialState.PRUNED
    assert ("report", 0, 1) in context.events
    assert ("report", 0, 2) not in context.events


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand."""
    now = [0.0]
    monkeypatch.setattr("ktune.tuner.loop.time.monotonic", lambda: now[0])
    return now


def test_a_trial_stops_at_its_next_epoch_when_time_is_up(clock):
    def evaluate(trial, report):
        for epoch in range(10):
            clock[0] += 1
            if not reports([0.5], trial, report):
                return TrialResult(TrialState.PRUNED, score=0.5, epochs=epoch + 1)
        return complete()

    context = Bench(evaluate, trials=5, timeout=13)
    outcome = context.run()
    assert [result.state for result in context.tracked] == ["complete", "pruned"]
    assert context.tracked[1].epochs == 3
    assert outcome.reason == "time is up"


def stopped_after(epochs):
    return TrialResult(
        TrialState.PRUNED, score=0.5, epochs=epochs, best_epoch=epochs - 1
    )


def in_epochs_of(clock, seconds, n_epochs=10):
    """Evaluate trials whose epochs take this time."""

    def evaluate(trial, report):
        for epoch in range(n_epochs):
            clock[0] += seconds
            if not reports([0.5], trial, report):
                return stopped_after(epoch + 1)
        return complete()

    return evaluate


def test_a_trial_stops_before_the_epoch_that_would_exceed_the_time(clock):
    context = Bench(in_epochs_of(clock, 4), trials=5, timeout=50)
    context.run()
    assert [result.epochs for result in context.tracked[1:]] == [2]
    assert clock[0] == 48


def test_time_for_the_end_of_the_search_is_kept_free(clock):
    context = Bench(in_epochs_of(clock, 1), trials=9, timeout=40, reserve=lambda: 15.0)
    assert context.run().reason == "time is up"
    assert clock[0] == 25


def test_a_single_trial_that_time_has_stopped_is_complete(clock):
    context = Bench(in_epochs_of(clock, 3), trials=5, timeout=10)
    outcome = context.run()
    assert [result.state for result in context.tracked] == ["complete"]
    assert context.tracked[0].epochs == 3
    assert (outcome.finished, outcome.reason) == (1, "time is up")


def test_a_trial_that_the_pruner_has_stopped_is_not_complete(clock):
    searcher = FakeSearcher()
    searcher.report = lambda trial, step, value: False
    context = Bench(in_epochs_of(clock, 1), searcher=searcher, trials=2, timeout=90)
    context.run()
    assert {result.state for result in context.tracked} == {"pruned"}


def test_no_trial_is_started_when_time_is_up(clock):
    def evaluate(trial, report):
        clock[0] += 10
        return complete()

    outcome = Bench(evaluate, trials=5, timeout=15).run()
    assert (outcome.finished, outcome.reason) == (2, "time is up")


def test_the_last_trial_may_be_the_one_that_time_has_stopped(clock):
    def evaluate(trial, report):
        clock[0] += 10
        assert not reports([0.5], trial, report)
        return TrialResult(TrialState.PRUNED, score=0.5)

    assert Bench(evaluate, trials=1, timeout=5).run().reason == "time is up"


def test_a_trial_that_takes_too_long_is_stopped_and_the_search_goes_on(clock):
    def evaluate(trial, report):
        for epoch in range(10):
            clock[0] += 10 if trial.number == 1 else 1
            if not reports([0.5], trial, report):
                return TrialResult(TrialState.PRUNED, score=0.5, epochs=epoch + 1)
        return complete()

    context = Bench(evaluate, trials=3, trial_timeout=25)
    outcome = context.run()
    assert [r.state for r in context.tracked] == ["complete", "pruned", "complete"]
    assert context.tracked[1].epochs == 3
    assert outcome.reason == "all trials done"


def test_ctrl_c_while_a_trial_is_recorded_waits_for_tell():
    class Interrupting(Bench):
        def track(self, trial, result):
            os.kill(os.getpid(), signal.SIGINT)
            super().track(trial, result)

    context = Interrupting(always(complete()), trials=9)
    outcome = context.run()
    assert outcome.is_interrupted
    assert outcome.finished == 1
    assert context.events[-2:] == [("track", 0), ("tell", 0)]


def test_ctrl_c_keeps_what_is_finished():
    def evaluate(trial, report):
        if trial.number == 2:
            raise KeyboardInterrupt
        return complete()

    context = Bench(evaluate, trials=9)
    outcome = context.run()
    assert outcome.is_interrupted
    assert (outcome.finished, outcome.reason) == (2, "interrupted")
    assert [trial.number for trial, _ in context.searcher.told] == [0, 1]
    assert context.executor.is_closed


def test_the_same_failure_of_all_first_trials_aborts():
    context = Bench(always(failed("bad shape")), trials=50)
    with pytest.raises(SearchAborted, match=r"first 5 trials .* ValueError: bad shape"):
        context.run()
    assert len(context.tracked) == FIRST_FAILURES
    assert context.executor.is_closed


def test_failures_for_several_reasons_do_not_abort():
    kinds = itertools.cycle([failed("one"), failed("other")])
    outcome = Bench(lambda trial, report: next(kinds), trials=10).run()
    assert outcome.finished == 0
    assert outcome.failures.total() == 2 * 10 + FIRST_FAILURES


@pytest.mark.parametrize("success_at", [0, 3])
def test_a_search_with_a_success_never_aborts(success_at):
    context = Bench(
        lambda trial, report: complete() if trial.number == success_at else failed(),
        trials=10,
    )
    assert context.run().finished == 1


def test_the_listener_hears_of_trials_and_epochs():
    heard = []

    class Hearing(Listener):
        def on_trial_start(self, trial):
            heard.append(("start", trial.number))

        def on_epoch(self, report):
            heard.append(("epoch", report.trial_number, report.value))

        def on_trial_end(self, trial, result):
            heard.append(("end", trial.number, result.score))

    def evaluate(trial, report):
        reports([0.1, 0.2], trial, report)
        return complete(0.2)

    Bench(evaluate, trials=1, listener=Hearing()).run()
    assert heard == [
        ("start", 0),
        ("epoch", 0, 0.1),
        ("epoch", 0, 0.2),
        ("end", 0, 0.2),
    ]
