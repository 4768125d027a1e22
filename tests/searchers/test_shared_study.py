"""Several drivers on one search: numbers, budget, lost trials, and who closes it."""

import itertools
import threading
from types import SimpleNamespace

import pytest
import sqlalchemy
from postgres import running_postgres

from ktune.errors import ExperimentError, StoreError
from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.searchers import make_searcher
from ktune.searchers.database import Database, check_url
from ktune.searchers.drivers import Drivers
from ktune.searchers.shared_study import SharedStudy
from ktune.testing.fakes import FakeExecutor
from ktune.testing.searchers import GOAL, complete, failed, score_of
from ktune.trial import TrialState
from ktune.tuner import loop
from ktune.tuner.loop import SearchLoop

# Drivers are processes; here some are threads, which share Python's warning filters:
# what one of them ignores for a moment (`quiet`), another may end in the midst of it.
pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = (f"x/{number}" for number in itertools.count())


def declare(hp):
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 8, 64)


both = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="module")
def url(request, tmp_path_factory):
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('shared')}/studies.db"
    else:
        with running_postgres() as address:
            yield address.replace("+psycopg2", "")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(loop, "POLL_SECONDS", 0.3)


@pytest.fixture
def drive(url):
    """Join a search as one more driver; the first to do so begins it."""
    name = next(NAMES)
    joined = []

    def join(*, declare=declare, sampler="tpe", seed=0, **more):
        base = Database(check_url(url))
        study = SharedStudy(base, name, declare, is_new=not joined)
        attendance = study.session()
        attendance.__enter__()
        joined.append((attendance, base))
        experiment = Experiment(
            name="x",
            data=([[0.0]], [0]),
            build=declare,
            sampler=sampler,
            pruner="none",
            seed=seed,
        )
        with study.lock():
            searcher = make_searcher(
                experiment,
                declare,
                goal=GOAL,
                path=study,
                counts_attempts=True,
                **more,
            )
        return SimpleNamespace(study=study, searcher=searcher, session=attendance)

    yield join
    for attendance, base in joined:
        attendance.__exit__(None, None, None)
        base.engine.dispose()


def ask(driver):
    with driver.study.lock():
        return driver.searcher.ask()


def others(driver):
    with driver.study.lock() as found:
        return found


def run(driver, trials, tracked, evaluate=None):
    return SearchLoop(
        driver.searcher,
        FakeExecutor(evaluate or (lambda trial, report: complete(score_of(trial)))),
        track=lambda trial, result: tracked.append(trial),
        listener=Listener(),
        trials=trials,
        other_drivers=driver.study,
    ).run()


def die(driver):
    """Give no more signs of life, the last one long ago."""
    drivers = driver.study._drivers
    drivers._has_left.set()
    beats = sqlalchemy.table(
        "trial_heartbeats", *map(sqlalchemy.column, ("trial_id", "heartbeat"))
    )
    of_ours = beats.c.trial_id == drivers._trial._trial_id
    with drivers._base.engine.begin() as link:
        link.execute(
            sqlalchemy.update(beats)
            .where(of_ours)
            .values(heartbeat="2026-01-01 00:00:00.000000")
        )


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_two_drivers_share_numbers_values_and_budget(drive):
    first, second = drive(), drive()
    tracked, outcomes = [], []
    both_are_asked = threading.Barrier(2, timeout=60)

    def evaluate(trial, report):
        if trial.number < 2:  # so that neither does all the work
            both_are_asked.wait()
        return complete(score_of(trial))

    def work(driver):
        outcomes.append(run(driver, 5, tracked, evaluate))

    threads = [threading.Thread(target=work, args=(d,)) for d in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(trial.number for trial in tracked) == list(range(5))
    assert len({tuple(trial.values.items()) for trial in tracked}) == 5
    assert sum(outcome.finished for outcome in outcomes) == 5
    assert all(outcome.finished for outcome in outcomes)
    assert [outcome.reason for outcome in outcomes] == ["all trials done"] * 2
    assert first.study.try_finalize() + second.study.try_finalize() == 1


def test_the_last_driver_at_work_closes_and_ends_the_search(drive):
    ended = []
    first, second = drive(), drive()
    run(first, 2, [])
    assert not first.study.try_finalize()
    assert second.study.try_finalize()
    late = drive()
    assert run(late, 2, []).finished == 0
    assert not late.study.try_finalize()  # another driver does it already
    for driver in (late, second, first):
        driver.study.leave(lambda name=driver: ended.append(name))
    assert ended == [first]


def test_a_finalized_search_is_finalized_again_only_for_more_trials(drive):
    first = drive()
    run(first, 2, [])
    assert first.study.try_finalize()
    first.study.mark_finalized()
    first.study.leave(lambda: None)
    second = drive()
    run(second, 2, [])
    assert not second.study.try_finalize()
    second.study.leave(lambda: None)
    third = drive()
    assert run(third, 3, []).finished == 1
    assert third.study.try_finalize()


@both
def test_the_trial_of_a_dead_driver_is_run_again_with_its_values(drive):
    first, second = drive(), drive()
    lost = ask(first)
    other = ask(second)
    assert others(second).running == 1
    die(first)
    assert others(second).running == 0
    again = ask(second)
    assert again == lost
    for trial in (other, again):
        second.searcher.tell(trial, complete(0.5))
    assert ask(second).number == 2
    with pytest.raises(StoreError, match="sent no heartbeat.*--resume"):
        first.study.check_in()
    with pytest.raises(StoreError, match="sent no heartbeat"):
        ask(first)


class ProcessEnded(BaseException):
    """Stands for ``os._exit``: nothing in this process handles it."""


def deadly(hp):
    if hp.Int("units", 8, 64) == 50:
        raise ProcessEnded
    hp.Boolean("bias")


@both
def test_a_trial_at_which_two_drivers_died_is_to_be_recorded_as_failed(drive):
    bystander = drive()
    other = ask(bystander)
    asked = []
    for _ in range(3):
        driver = drive()
        asked.append(ask(driver))
        die(driver)
    assert {trial.number for trial in asked} == {1}
    assert [trial.has_ended_process for trial in asked] == [False, False, True]
    last = ask(bystander)
    assert (last.number, last.has_ended_process) == (1, True)
    for trial in (other, last):
        bystander.searcher.tell(trial, complete(0.5))
    following = ask(bystander)
    assert (following.number, following.has_ended_process) == (2, False)


def test_a_builder_that_ended_two_drivers_is_not_run_for_these_values_again(drive):
    more = {"declare": deadly, "start_from": [{"units": 50}]}
    first = drive(**more)
    first.searcher.tell(ask(first), complete(0.5))
    for driver in (first, drive(**more)):
        with pytest.raises(ProcessEnded):
            ask(driver)
        die(driver)
    third = drive(**more)
    ended = ask(third)
    assert (ended.number, ended.values) == (1, {"units": 50})
    assert ended.has_ended_process
    third.searcher.tell(ended, failed())
    following = ask(third)
    assert (following.number, following.has_ended_process) == (2, False)


def test_a_driver_that_leaves_or_has_recorded_its_trial_has_not_died_of_it(drive):
    def leave(driver):
        driver.session.__exit__(None, None, None)

    def die_after_training(driver):
        driver.study.attempts().remove()  # as the search does before it records
        die(driver)

    asked = []
    for end in (leave, die_after_training, leave, die):
        driver = drive()
        asked.append(ask(driver))
        end(driver)
    asked.append(ask(drive()))
    assert {trial.number for trial in asked} == {0}
    assert not any(trial.has_ended_process for trial in asked)


def test_a_recorded_trial_of_a_dead_driver_is_finished_not_repeated(drive):
    first = drive()
    trial = ask(first)
    second = drive(find_result=lambda number: complete(0.75) if number == 0 else None)
    die(first)
    assert ask(second).number == trial.number + 1
    found = others(second)
    assert (found.finished, found.running, found.asked) == (1, 0, 1)


def test_a_driver_waits_for_the_last_trials_of_others_and_takes_them_over(drive):
    first, second = drive(), drive()
    lost = ask(first)
    die_soon = threading.Timer(0.5, die, args=(first,))
    die_soon.start()
    tracked = []
    outcome = run(second, 2, tracked)
    die_soon.join()
    assert [trial.number for trial in tracked] == [1, lost.number]
    assert outcome.reason == "all trials done"
    assert second.study.try_finalize()


def test_who_dies_in_its_turn_does_not_keep_it(drive):
    first, second = drive(), drive()
    lock = first.study.lock()
    lock.__enter__()
    begun = first.searcher._state.trial_store.draw(first.searcher._new_sampler(0))
    begun.optuna_trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    die(first)
    assert ask(second).number == 0
    with pytest.raises(StoreError, match="sent no heartbeat"):
        first.study.check_in()
    states = [t.state.name for t in second.searcher._state.trial_store.study.trials]
    assert states == ["FAIL", "RUNNING"]


def test_failed_trials_are_replaced_by_the_first_driver(drive):
    first, second = drive(), drive()
    one, two = ask(first), ask(second)
    first.searcher.tell(one, failed())
    second.searcher.tell(two, complete(0.5))
    third, tracked = drive(), []
    assert run(third, 2, tracked).finished == 1
    assert [trial.number for trial in tracked] == [2]


def test_pruners_and_samplers_see_the_trials_of_all_drivers(drive):
    first, second = (
        drive(sampler="grid", declare=flags),
        drive(sampler="grid", declare=flags),
    )
    asked = [ask(driver) for driver in (first, second, first, second)]
    assert len({tuple(trial.values.items()) for trial in asked}) == 4
    assert ask(first) is None
    assert first.searcher.is_exhausted
    for trial, driver in zip(asked, (first, second, first, second), strict=True):
        driver.searcher.tell(trial, complete(score_of(trial)))
    entries = second.searcher._state.trial_store.records()
    assert [entry.state for entry in entries] == [TrialState.COMPLETE] * 4
    assert [entry.driver for entry in entries] == [0, 1, 0, 1]


def flags(hp):
    hp.Boolean("bias")
    hp.Choice("kind", ["a", "b"])


def test_another_space_is_refused_naming_the_difference(drive):
    def wider(hp):
        hp.Float("rate", 1e-4, 1e-1, sampling="log")
        hp.Int("units", 8, 128)

    drive()
    with pytest.raises(ExperimentError, match=r"'units' is .*128 here and .*64 there"):
        drive(declare=wider)


def test_a_search_that_is_not_in_the_database_is_not_begun_there(url):
    base = Database(check_url(url))
    study = SharedStudy(base, "unheard-of/1", declare, is_new=False)
    with (
        pytest.raises(StoreError, match="does not contain this search.*--storage"),
        study.session(),
    ):
        pass


def test_a_database_that_breaks_in_mid_search_is_one_clear_message(drive):
    driver = drive()
    trial = ask(driver)
    with driver.study._base.engine.begin() as link:
        link.exec_driver_sql("ALTER TABLE ktune_turns RENAME TO elsewhere")
    with pytest.raises(StoreError, match="cannot be used: no such table: ktune_turns"):
        ask(driver)
    with driver.study._base.engine.begin() as link:
        link.exec_driver_sql("ALTER TABLE elsewhere RENAME TO ktune_turns")
    driver.searcher.tell(trial, complete(0.5))
    assert ask(driver).number == 1


@both
def test_numbers_of_drivers_are_unique(url):
    base = Database(check_url(url))
    found = []

    def join():
        found.append(Drivers(base, "crowd/1"))

    threads = [threading.Thread(target=join) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(driver.number for driver in found) == [0, 1, 2, 3]
    for driver in found:
        driver.leave()
        driver.leave()
