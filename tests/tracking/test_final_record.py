import pytest

from ktune.tracking import names
from ktune.tracking.final_record import (
    FinalRecord,
    ModelCosts,
    Part,
    final_tag,
    read_final,
)

RECORD = FinalRecord(
    "average",
    "better by 0.1",
    (Part(3, "a", 0.5), Part(7, "b", 0.5)),
    version=2,
    single_version=1,
    costs=ModelCosts(100, 1.5, 3.0),
    single_costs=ModelCosts(50, 1.0, 1.5),
)


def test_a_record_comes_back_from_the_tag_of_its_search():
    assert read_final(final_tag(RECORD)) == RECORD
    alone = FinalRecord("single", "within noise", version=1)
    assert read_final(final_tag(alone)) == alone


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"kind": "average"}', "3"])
def test_a_search_without_a_readable_tag_has_no_record(text):
    tags = {} if text is None else {names.FINAL: text}
    assert read_final(tags) is None
