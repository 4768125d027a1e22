"""Headless Chromium for tests of pages."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from selenium import webdriver

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def chromium(
    profile: Path,
    *,
    width: int = 1500,
    height: int = 900,
    flags: Sequence[str] = (),
    logs: Sequence[str] = ("browser",),
) -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile; skips where Chromium is not installed."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("Chromium and its driver are not installed on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.add_argument(f"--window-size={width},{height}")
    options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
    os.environ.setdefault("SE_OFFLINE", "true")
    window = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield window
    finally:
        window.quit()
