"""What options a search goes on with."""

from ktune.tuner.resume import inherit_options


def test_options_are_taken_over_but_where_they_are_changed():
    recorded = {"trials": 5, "jobs": 2}
    assert inherit_options(recorded, {"trials": 9}) == {"trials": 9, "jobs": 2}


def test_a_search_on_a_cluster_can_go_on_without_it():
    recorded = {"ray_address": "auto", "trials": 5}
    assert inherit_options(recorded, {}) == recorded
    assert inherit_options(recorded, {"executor": "serial"}) == {
        "executor": "serial",
        "trials": 5,
    }
