"""Report and comparison in headless Chromium: no errors, no requests, no overflow."""

import json
from dataclasses import replace

import pytest
from browser import chromium
from views import search_report, search_view, with_context, with_curves

from ktune.data.dataset import Task
from ktune.diagnosis import diagnose_search
from ktune.metrics.scores import Objective
from ktune.report import write_report
from ktune.report.comparison import Contender, compare, write_comparison
from ktune.trial import FoldResult

LOSS = Objective("loss", "min")
WIDTHS = {"desktop": 1280, "phone": 390}

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp("profile")
    logs = ("browser", "performance")
    with chromium(profile, flags=["--hide-scrollbars"], logs=logs) as window:
        yield window


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    report = search_report(40, name="<img src=x onerror=alert(1)> & co")
    contenders = [contender(report, letter, n) for n, letter in enumerate("ABC")]
    return {
        "report": write_report(report, folder / "report.html"),
        "comparison": write_comparison(compare(contenders), folder / "compare.html"),
    }


def contender(report, letter, number):
    view = report.search.trials[number]
    return Contender(
        label=f"{letter} ({report.name} trial {number})",
        run_id=f"{number:032x}",
        experiment=report.name,
        search_id=report.run_id,
        view=view,
        diagnosis=report.diagnosis.trials[number],
        data_digest="d",
        data_name=report.name,
        folds_digest="f",
        test={},
    )


def open_page(browser, path, width, scheme="light"):
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    size = {
        "width": width,
        "height": 900,
        "deviceScaleFactor": 1,
        "mobile": width < 600,
    }
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(path.as_uri())


def requested(browser):
    messages = [
        json.loads(e["message"])["message"] for e in browser.get_log("performance")
    ]
    return [
        m["params"]["request"]["url"]
        for m in messages
        if m["method"] == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_page_opens_without_errors_requests_or_overflow(browser, pages, name, width):
    open_page(browser, pages[name], width)
    run = browser.execute_script
    assert run("return document.documentElement.dataset.drawn") == "yes"
    assert browser.get_log("browser") == []
    outside = [u for u in requested(browser) if u.startswith(("http", "ws", "//"))]
    assert outside == []
    assert run("return document.documentElement.scrollWidth") <= width
    n_plots = run("return document.querySelectorAll('.plot').length")
    assert n_plots == run(
        "return document.querySelectorAll('.plot .main-svg').length "
        "&& document.querySelectorAll('.plot.js-plotly-plot').length"
    )
    browser.save_screenshot(str(pages[name].with_name(f"{name}-{width}.png")))


def test_curves_of_every_output_stand_apart(browser, tmp_path):
    path = write_report(report_of_outputs(), tmp_path / "outputs.html")
    for width in WIDTHS.values():
        open_page(browser, path, width)
        boxes = browser.execute_script(
            "const figure = document.querySelector('[id^=figure-curves]');"
            "return [...figure.querySelectorAll('.bglayer .bg')].map(panel => {"
            "const b = panel.getBoundingClientRect();"
            "return [b.left, b.top, b.right, b.bottom]})"
        )
        assert len(boxes) == 4
        for number, one in enumerate(boxes):
            assert not any(overlap(one, other) for other in boxes[:number])


def report_of_outputs():
    """A report of trials with two outputs, each with a loss and a metric."""
    falling = [[1.0, 0.6, 0.5]] * 3
    names = ("loss", "mask_loss", "mask_io_u", "size_loss")
    curves = {f"{side}_{n}": falling for side in ("train", "val") for n in names}
    scores = dict.fromkeys(names, 0.5)
    trials = [
        with_curves(with_context(view, task=Task.CUSTOM, objective=LOSS), **curves)
        for view in search_report(3).search.trials[:2]
    ]
    trials = [
        replace(
            view,
            result=replace(
                view.result,
                folds=tuple(FoldResult(k, 9, 9, scores, scores) for k in range(3)),
                confusion=(),
                out_of_fold=b"",
            ),
        )
        for view in trials
    ]
    view = search_view(trials)
    return search_report(3, search=view, diagnosis=diagnose_search(view))


def overlap(one, other):
    return (
        one[0] < other[2]
        and other[0] < one[2]
        and one[1] < other[3]
        and other[1] < one[3]
    )


def test_the_dark_scheme_repaints_page_and_figures(browser, pages):
    colours = []
    for scheme in ("light", "dark"):
        open_page(browser, pages["report"], 1280, scheme)
        colours.append(
            browser.execute_script(
                "return [getComputedStyle(document.body).backgroundColor,"
                "document.querySelector('#figure-gap-map').layout.font.color]"
            )
        )
    assert colours[0][0] != colours[1][0]
    assert colours[0][1] != colours[1][1]


def test_details_open_with_figures_of_full_width(browser, pages):
    open_page(browser, pages["report"], 1280)
    width = browser.execute_async_script(
        "const done = arguments[0], d = document.querySelector('#curves details');"
        "d.open = true;"
        "setTimeout(() => done(d.querySelector('.main-svg').clientWidth), 800);"
    )
    assert width > 800


def test_hostile_names_are_text(browser, pages):
    open_page(browser, pages["report"], 1280)
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    title = browser.execute_script("return document.querySelector('h1').textContent")
    assert title == "<img src=x onerror=alert(1)> & co"
