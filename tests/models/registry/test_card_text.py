import re
from dataclasses import replace

import pytest

from ktune.metrics.intervals import Estimate
from ktune.models.registry.card_text import NOT_STATED, Card, Member, render_card

CARD = Card(
    name="m",
    version=3,
    license="Apache-2.0",
    data={
        "name": "flowers",
        "task": "multiclass",
        "kind": "tabular",
        "n_rows": 120,
        "n_test_rows": 30,
        "input_shape": [4],
    },
    data_digest="abc123",
    class_names=["rose", "tulip"],
    params={"engine": "optuna", "sampler": "tpe", "pruner": "median", "cv": "5"},
    objective="accuracy",
    n_trials={"complete": 7, "pruned": 2},
    members=[Member(4, "0123abcd", {"units": 64, "rate": 0.00123456})],
    epochs=6,
    method="",
    fold_scores={"accuracy": (0.91234, 0.02), "log_loss": (0.3, None)},
    test={"accuracy": Estimate(0.9, 0.8, 0.95), "roc_auc_ovr": Estimate(0.97)},
    baselines={"constant": 0.3333, "linear": 0.95},
    verdict="good",
    findings=[{"code": "KT010", "title": "Miscalibrated", "message": "off by 0.06."}],
    gate="champion since now by gate: better",
    search_run_id="feed",
    command="ktune search flowers.py:experiment",
    git_commit="c0ffee",
    environment={
        "python": "3.11.2",
        "processor": "abacus",
        "packages": {"keras": "3.15.1"},
        "backend": {"devices": ["CPU:0"]},
    },
)


def section(text, title):
    return re.split(r"^## ", text, flags=re.M)[
        [t.splitlines()[0] for t in re.split(r"^## ", text, flags=re.M)].index(title)
    ]


def test_a_card_has_every_section():
    titles = re.findall(r"^## (.*)$", render_card(CARD), flags=re.M)
    assert titles == [
        "Data",
        "Search",
        "Scores",
        "Verdict",
        "Limits",
        "How to reproduce",
        "Licence",
    ]


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("Data", "| digest | `abc123` |"),
        ("Data", "rose, tulip"),
        ("Search", "7 complete, 2 pruned"),
        ("Search", "| rate | 0.001235 |"),
        ("Scores", "| accuracy | 0.9123 ± 0.0200 | 0.9000 [0.8000, 0.9500] |"),
        ("Scores", "| log_loss | 0.3000 |  |"),
        ("Scores", "| roc_auc_ovr |  | 0.9700 |"),
        ("Scores", "a linear model 0.9500"),
        ("Verdict", "KT010 Miscalibrated: off by 0.06."),
        ("Limits", "30 test rows"),
        ("Limits", "among 9 trials"),
        ("How to reproduce", "ktune reproduce 0123abcd"),
        ("How to reproduce", "keras 3.15.1"),
        ("Licence", "Apache-2.0"),
    ],
)
def test_a_section_tells_what_it_is_for(title, told):
    assert told in section(render_card(CARD), title)


def test_a_licence_that_is_not_stated_has_a_remedy():
    assert NOT_STATED in section(render_card(replace(CARD, license="")), "Licence")


def test_without_a_test_set_the_scores_say_so():
    text = render_card(replace(CARD, test={}))
    assert "no untouched test set" in section(text, "Scores")
    assert "intervals" not in section(text, "Limits")


def test_an_ensemble_lists_its_members_with_their_weights():
    other = Member(5, "beef", {"units": 8}, weight=0.25)
    members = [replace(CARD.members[0], weight=0.75), other]
    text = render_card(replace(CARD, members=members, method="greedy", epochs=None))
    assert "Values of trial 5, weight 0.25:" in section(text, "Search")
    assert "runs 2 models" in section(text, "Limits")
    assert "ktune reproduce beef" in section(text, "How to reproduce")


def test_several_inputs_are_listed_by_name():
    data = {**CARD.data, "input_shape": {"image": [8, 8, 1], "age": [1]}}
    assert "image 8×8×1, age 1" in render_card(replace(CARD, data=data))
