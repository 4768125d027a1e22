import re
import time

import pytest
from views import (
    classification_view,
    failed_view,
    regression_view,
    search_report,
    search_view,
)

from ktune.data.dataset import Task
from ktune.diagnosis import Baselines, diagnose_search
from ktune.metrics.scores import Objective
from ktune.report import render_report, write_report
from ktune.report.figures.figure import plain

HOSTILE = "<script>alert(1)</script>&\"'`"


@pytest.fixture(scope="module")
def page():
    return render_report(search_report())


def body_of(page):
    """The page without its scripts and style."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


def test_the_page_has_all_sections(page):
    for section in (
        "verdict",
        "findings",
        "curves",
        "map",
        "trials",
        "folds",
        "test",
        "classes",
        "calibration",
        "parameters",
        "history",
        "reproduce",
    ):
        assert f'<section id="{section}">' in page


def test_the_five_numbers_stand_on_top(page):
    assert (
        body_of(page).count('class="number"')
        + body_of(page).count('class="number first"')
        == 5
    )
    assert "95 %: 0.8500 … 0.9400" in page


def test_every_place_for_a_figure_has_one(page):
    places = re.findall(r'id="figure-([\w-]+)"', page)
    keys = re.findall(r'"key":"([\w-]+)"', page)
    assert sorted(places) == sorted(keys)


def test_nothing_is_loaded_from_elsewhere(page):
    body = body_of(page)
    assert not re.search(r"<(link|img|iframe)[^>]+(src|href)=\"(?!data:)", body)
    assert "<script src" not in page
    assert "default-src 'none'" in page
    assert page.count("plotly.js v") == 1


def test_what_comes_from_users_is_escaped():
    body = body_of(render_report(search_report(12, name=HOSTILE)))
    assert "alert(1)" in body
    assert "<script" not in body


def test_control_characters_and_marks_of_direction_are_escaped():
    page = render_report(search_report(12, name="a\x1b[2J\x9b31m\u202eb"))
    assert "a\\x1b[2J\\x9b31m\\u202eb" in body_of(page)
    assert not {"\x1b", "\x9b", "\u202e"} & set(page)


def test_figures_cannot_end_their_script_element():
    page = render_report(search_report(12, name=HOSTILE))
    start = page.index('id="figures">') + len('id="figures">')
    figures = page[start : page.index("</script>", start)]
    assert figures.endswith("]")
    assert "alert(1)" in figures


def test_figures_show_quotes_as_quotes():
    """Plotly does not decode their entities."""
    assert plain("""<b> "a" & 'b'""") == """&lt;b&gt; "a" &amp; 'b'"""
    page = render_report(search_report(12, name=HOSTILE))
    start = page.index('id="figures">')
    figures = page[start : page.index("</script>", start)]
    assert "quot;" not in figures
    assert "#x27;" not in figures


def test_two_hundred_trials_are_small_and_quick(tmp_path):
    report = search_report(200)
    started = time.perf_counter()
    path = write_report(report, tmp_path / "deep" / "report.html")
    assert time.perf_counter() - started < 15
    assert path.stat().st_size < 6_000_000


def test_a_search_without_a_complete_trial_has_a_page():
    view = search_view([failed_view(), failed_view()])
    report = search_report(12, search=view, diagnosis=diagnose_search(view))
    assert "No trial was completed" in render_report(report)


def test_a_regression_has_a_page_without_classes():
    view = search_view([regression_view(0.9, 0.8)])
    report = search_report(12, search=view, diagnosis=diagnose_search(view))
    body = body_of(render_report(report))
    assert 'id="classes"' not in body
    assert report.context.task is Task.REGRESSION
    assert report.context.objective == Objective("r2", "max")


def test_a_single_trial_with_one_epoch_has_a_page():
    curves = {
        f"{side}_{name}": ((0.5,),) * 5
        for side in ("train", "val")
        for name in ("loss", "accuracy", "log_loss")
    }
    view = search_view([classification_view(0.9, 0.9, curves=curves, epochs=1)])
    report = search_report(12, search=view, diagnosis=diagnose_search(view))
    assert 'id="curves"' in render_report(report)


def test_without_a_test_set_the_page_says_so():
    report = search_report(12)
    view = search_view(report.search.trials)
    page = render_report(search_report(12, search=view, n_test_rows=0))
    assert "no untouched test set" in page


def test_baselines_are_lines_of_the_history():
    report = search_report(12)
    trials = [
        classification_view(0.9, 0.85 + 0.01 * n, number=n, values={"a": n})
        for n in range(3)
    ]
    view = search_view(trials)
    from dataclasses import replace

    context = replace(view.context, baselines=Baselines(linear={"accuracy": 0.8}))
    view = replace(view, context=context)
    page = render_report(
        search_report(12, search=view, diagnosis=diagnose_search(view))
    )
    assert '"name":"linear model"' in page
    assert report.importances
