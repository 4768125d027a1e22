"""`ktune ui`, driven as a user would: the real server, a real browser."""

import re
import signal
import subprocess
import sys

import pytest
from browser import chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COLUMNS = ("val_accuracy", "val_recall", "val_f1")


@pytest.fixture
def page(in_folder):
    """Address of the page of the small search, served until the test ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ktune", "ui", "--port", "5173"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+/ktune", line):
                yield found.group()
                break
        else:
            pytest.fail("`ktune ui` ended without an address")
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.wait(30) == 0


@pytest.mark.slow
def test_the_page_opens_on_the_search_with_its_trials_below(page, tmp_path):
    with chromium(tmp_path / "profile") as window:
        window.get(page)
        WebDriverWait(window, 60).until(
            lambda w: len(w.find_elements(By.PARTIAL_LINK_TEXT, "trial ")) == 4
        )
        text = window.find_element(By.TAG_NAME, "body").text
        window.save_screenshot(str(tmp_path / "runs.png"))
        assert "search of small" in text
        for column in COLUMNS:
            assert column in text
        assert "Model training" in text


@pytest.mark.slow
def test_a_trial_page_shows_its_curves_and_values(page, tmp_path):
    with chromium(tmp_path / "profile") as window:
        window.get(page)
        links = WebDriverWait(window, 60).until(
            lambda w: w.find_elements(By.PARTIAL_LINK_TEXT, "trial ")
        )
        links[0].click()
        WebDriverWait(window, 60).until(
            lambda w: "learning_rate" in w.find_element(By.TAG_NAME, "body").text
        )
        text = window.find_element(By.TAG_NAME, "body").text
        window.save_screenshot(str(tmp_path / "trial.png"))
        assert "batch_size" in text
        assert "fold0_val_accuracy" in text
