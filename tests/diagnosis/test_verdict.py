import json
from dataclasses import replace

import pytest
from views import (
    classification_view,
    failed_view,
    regression_view,
    search_view,
    with_curves,
)

from ktune.diagnosis import (
    SEARCH_RULES,
    TRIAL_RULES,
    Verdict,
    diagnose_search,
    diagnose_trial,
    diagnosis_as_dict,
)


def test_a_trial_without_findings_is_good():
    diagnosis = diagnose_trial(classification_view(0.95, 0.94))
    assert diagnosis.verdict is Verdict.GOOD
    assert diagnosis.reason == ""


def test_a_failed_trial_is_failed_and_other_rules_say_why_they_are_silent():
    diagnosis = diagnose_trial(failed_view())
    assert diagnosis.verdict is Verdict.FAILED
    assert "failed" in diagnosis.not_applicable["KT001"]


def test_unstable_wins_over_overfit():
    view = classification_view(1.0, [0.95, 0.4, 0.8, 0.5, 0.6])
    assert diagnose_trial(view).verdict is Verdict.UNSTABLE


def test_a_search_knows_what_its_best_trial_reaches():
    trials = [
        classification_view(0.75, 0.74),
        classification_view(0.96, 0.95, number=1),
    ]
    assert diagnose_trial(trials[0]).verdict is Verdict.GOOD
    diagnosis = diagnose_search(search_view(trials))
    assert diagnosis.best == 1
    assert diagnosis.trials[0].verdict is Verdict.UNDERFIT
    assert diagnosis.counts == {Verdict.UNDERFIT: 1, Verdict.GOOD: 1}


def test_a_search_without_a_complete_trial_is_failed():
    diagnosis = diagnose_search(search_view([failed_view()]))
    assert diagnosis.verdict is Verdict.FAILED
    assert diagnosis.best is None


def test_a_diagnosis_is_json():
    view = search_view([classification_view(1.0, 0.7)])
    text = json.dumps(diagnosis_as_dict(diagnose_search(view)))
    assert "overfit" in text


@pytest.mark.parametrize("rule", [*TRIAL_RULES, *SEARCH_RULES], ids=lambda r: r.code)
def test_every_rule_documents_threshold_evidence_and_source(rule):
    text = type(rule).__doc__
    for heading in ("Threshold:", "Evidence:", "Source:"):
        assert heading in text


def test_codes_are_unique():
    codes = [rule.code for rule in (*TRIAL_RULES, *SEARCH_RULES)]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    "view",
    [
        regression_view([float("nan")] * 5, [float("nan")] * 5),
        classification_view(0.9, 0.9, curves={}),
        classification_view(0.9, 0.9, confusion=()),
        with_curves(classification_view(0.9, 0.9), train_log_loss=[[0.5]] * 5),
        replace(classification_view(0.9, 0.9, n_folds=1)),
    ],
)
def test_odd_records_are_judged_without_errors(view):
    assert diagnose_trial(view).verdict in Verdict
