"""Signals that come while something is being written."""

import os
import signal
import threading

import pytest

from ktune.utils import interrupts as interruption
from ktune.utils.interrupts import note_interrupt, shielded


@pytest.fixture(autouse=True)
def no_press_before(monkeypatch):
    monkeypatch.setattr(interruption._Presses, "at", -1e9)


def interrupt(work):
    """Do shielded work that is interrupted."""

    def run():
        with shielded():
            work()

    with pytest.raises(KeyboardInterrupt):
        run()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_the_end_of_what_is_shielded(number):
    written = []
    before = signal.getsignal(number)

    def work():
        os.kill(os.getpid(), number)
        written.append("the second half")

    interrupt(work)
    assert written == ["the second half"]
    assert signal.getsignal(number) is before


def test_a_second_interrupt_within_two_seconds_does_not_wait():
    written = []

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        written.append("the second half")

    interrupt(work)
    assert written == []


def test_the_first_interrupt_may_have_come_before_the_shield():
    note_interrupt()

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it should have stopped at once")

    interrupt(work)


def test_a_second_interrupt_after_two_seconds_waits_like_the_first(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(interruption.time, "monotonic", lambda: now[0])
    written = []

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        now[0] += 2.5
        os.kill(os.getpid(), signal.SIGINT)
        written.append("the second half")

    interrupt(work)
    assert written == ["the second half"]


def test_an_error_in_the_block_comes_through():
    with pytest.raises(ValueError, match="on purpose"), shielded():
        raise ValueError("on purpose")


def test_other_threads_are_let_alone():
    done = []

    def work():
        with shielded():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
