"""What options a search goes on with."""

from ktune.tuner.resume import take_over


def test_options_are_taken_over_but_where_they_are_changed():
    recorded = {"trials": 5, "jobs": 2}
    assert take_over(recorded, {"trials": 9}) == {"trials": 9, "jobs": 2}


def test_a_search_on_a_cluster_can_go_on_without_it():
    recorded = {"ray_address": "auto", "trials": 5}
    assert take_over(recorded, {}) == recorded
    assert take_over(recorded, {"executor": "serial"}) == {
        "executor": "serial",
        "trials": 5,
    }
