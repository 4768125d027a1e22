"""A search killed at any moment has correct records, and is resumed to the same end.

With KTUNE_LONG_TESTS=1 there are more; `scripts/check_kills.py` tries any number.
"""

import os
import signal

import pytest
from kill_stories import (
    check_story,
    first_resumable,
    make_project,
    running_server,
    undisturbed_by,
)

pytestmark = pytest.mark.slow

IS_LONG = bool(os.environ.get("KTUNE_LONG_TESTS"))
N_SEEDS = 25 if IS_LONG else 5
STEP = 1 if IS_LONG else 5  # of the writes before which a process is killed


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The process that runs commands and kills them; a function of a request."""
    with running_server(tmp_path_factory.mktemp("warm")) as server:
        yield server


@pytest.fixture(scope="module")
def project(server, empty_store, tmp_path_factory):
    """Makes folders with the experiment and an empty store; runs commands in them."""
    return lambda name: make_project(server, tmp_path_factory.mktemp(name), empty_store)


@pytest.fixture(scope="module")
def undisturbed(project):
    """Returns the records of an uninterrupted search by a sampler."""
    return undisturbed_by(project)


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_a_search_killed_anywhere_ends_as_the_undisturbed_one(
    seed, project, undisturbed
):
    check_story(seed, project, undisturbed)


@pytest.mark.parametrize("how", ["kill", "term"])
def test_a_search_that_ends_before_its_first_trial_does_not_block_others(
    how, project, undisturbed
):
    wanted = undisturbed("random")
    first = wanted.writes.index("mlflow create_experiment") + 1
    place = project("ended-early")
    for write in range(first, first_resumable(wanted.writes), STEP):
        answer = place.begin("random", write=write, how=how)
        assert answer.code == (130 if how == "term" else -signal.SIGKILL)
        assert how == "kill" or "RUNNING" not in place.states()
    answer = place.begin("random")
    assert answer.code == 0, place.log.read_text()
    assert place.records().content() == wanted.content


def test_a_search_killed_while_it_registers_makes_one_version(project):
    wanted = project("registered")
    answer = wanted.begin("random", registers=True)
    assert answer.code == 0, wanted.log.read_text()
    wanted.assert_has_one_version()
    first = answer.writes.index("mlflow create_logged_model") + 1
    for write in range(first, len(answer.writes) + 1, STEP):
        place = project("killed-registering")
        assert place.begin("random", write=write, registers=True).code == -9
        answer_of_resumed = place.resume(registers=True)
        assert answer_of_resumed.code == 0, place.log.read_text()
        place.assert_has_one_version()


def test_a_search_that_goes_on_and_finds_nothing_better_makes_no_second_version(
    project,
):
    place = project("gone-on")
    assert place.begin("random", registers=True).code == 0
    answer = place.resume(registers=True)
    assert answer.code == 0, place.log.read_text()
    place.assert_has_one_version()
