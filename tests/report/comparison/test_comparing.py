from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from views import classification_view, failed_view

from ktune.data.dataset import Task
from ktune.diagnosis import diagnose_trial
from ktune.errors import UnknownReference
from ktune.metrics.scores import Objective
from ktune.report.comparison import Contender, compare, render_comparison, scores_table
from ktune.report.comparison.page import duels_table, sizes_table, values_table
from ktune.report.comparison.paired_test import corrected_t_test, unpaired_test

GOOD = [0.95, 0.93, 0.96, 0.94, 0.95]
WORSE = [0.85, 0.82, 0.86, 0.85, 0.84]


def contender(label, validation, *, folds="f", data="d", values=None, **result):
    view = classification_view(0.97, validation, values=values or {})
    view = replace(view, result=replace(view.result, **result))
    return Contender(
        label=label,
        run_id=f"{label}0123456789",
        experiment="digits",
        search_id="s",
        view=view,
        diagnosis=diagnose_trial(view),
        data_digest=data,
        data_name="digits",
        folds_digest=folds,
        test={},
    )


def test_the_correction_widens_the_plain_t_test():
    differences = [0.02, 0.01, 0.03, 0.02, 0.01]
    plain = stats.ttest_1samp(differences, 0).pvalue
    uncorrected = corrected_t_test(differences, test_share=0.0)
    corrected = corrected_t_test(differences, test_share=0.25)
    assert uncorrected.p_value == pytest.approx(plain)
    assert corrected.p_value > plain
    assert corrected.low < uncorrected.low


def test_under_no_difference_the_test_is_rarely_significant():
    rng = np.random.default_rng(0)
    found = [
        corrected_t_test(rng.normal(0, 1, 5).tolist(), test_share=0.0).p_value < 0.05
        for _ in range(2000)
    ]
    assert 0.03 < np.mean(found) < 0.07


def test_the_unpaired_test_is_welch_without_correction():
    found = unpaired_test(GOOD, WORSE, test_share=0.0)
    expected = stats.ttest_ind(GOOD, WORSE, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_equal_folds_are_compared_in_pairs():
    duel = compare([contender("A", GOOD), contender("B", WORSE)]).duels[0]
    assert duel.difference.is_paired
    assert "B is worse than A by 0.1020" in duel.conclusion


def test_a_difference_within_noise_is_not_significant():
    other = [0.96, 0.92, 0.95, 0.95, 0.94]
    duel = compare([contender("A", GOOD), contender("B", other)]).duels[0]
    assert "do not differ significantly" in duel.conclusion


def test_other_folds_are_compared_unpaired_with_a_reason():
    duel = compare([contender("A", GOOD), contender("B", WORSE, folds="g")]).duels[0]
    assert not duel.difference.is_paired
    assert "unpaired" in duel.note


def test_other_data_are_not_compared():
    comparison = compare([contender("A", GOOD), contender("B", WORSE, data="e")])
    assert comparison.duels[0].difference is None
    assert "different data" in comparison.duels[0].note
    assert comparison.warnings


def test_one_fold_is_not_tested():
    pair = [contender("A", [0.9]), contender("B", [0.8])]
    assert "one fold" in compare(pair).duels[0].note


def test_several_duels_are_adjusted():
    contenders = [contender(label, GOOD) for label in "ABC"]
    contenders.append(contender("D", WORSE))
    duels = compare(contenders).duels
    assert duels[2].p_adjusted >= duels[2].difference.p_value


def test_identical_trials_do_not_differ():
    duel = compare([contender("A", GOOD), contender("B", GOOD)]).duels[0]
    assert duel.difference.p_value == 1.0


def test_a_failed_trial_cannot_be_compared():
    broken = replace(contender("B", GOOD), view=failed_view())
    with pytest.raises(UnknownReference, match="B failed"):
        compare([contender("A", GOOD), broken])


@pytest.mark.parametrize("count", [1, 9])
def test_one_or_nine_are_refused(count):
    with pytest.raises(UnknownReference, match="two to 8"):
        compare([contender(str(n), GOOD) for n in range(count)])


def test_tables_and_page_hold_what_differs():
    comparison = compare(
        [
            contender("A", GOOD, values={"units": 64, "rate": 0.1}, n_parameters=100),
            contender("<b>", WORSE, values={"units": 8, "rate": 0.1}, n_parameters=900),
        ]
    )
    assert list(comparison.differing_values()) == ["units"]
    assert values_table(comparison).rows[0].cells == ["units", "64", "8"]
    assert scores_table(comparison).rows[0].is_marked
    assert [row.cells[-1] for row in sizes_table(comparison).rows] == ["yes", ""]
    assert duels_table(comparison).rows[0].cells[0] == "<b>"
    page = render_comparison(comparison)
    assert "&lt;b&gt;" in page
    assert "<b>0123" not in page


def of_custom_task(label, metrics):
    """A trial of a search of its own, whose model scores itself."""
    made = contender(label, GOOD)
    folds = tuple(
        replace(f, validation=metrics, train=metrics) for f in made.view.result.folds
    )
    context = replace(
        made.view.context, task=Task.CUSTOM, objective=Objective("loss", "min")
    )
    view = replace(
        made.view, context=context, result=replace(made.view.result, folds=folds)
    )
    return replace(made, view=view, search_id=label)


def test_custom_tasks_of_two_searches_are_compared_by_metrics_not_losses():
    one = of_custom_task("A", {"loss": 0.2, "mask_loss": 0.1, "mask_io_u": 0.8})
    other = of_custom_task("B", {"loss": 0.3, "mask_loss": 0.2, "mask_io_u": 0.7})
    found = compare([one, other])
    assert found.metrics == ["mask_io_u"]
    assert found.objective == Objective("mask_io_u", "max")


def test_custom_tasks_without_a_common_metric_are_not_compared():
    with pytest.raises(UnknownReference, match="Compile their models"):
        compare([of_custom_task(label, {"loss": 0.2}) for label in "AB"])
