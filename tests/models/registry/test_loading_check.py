from types import SimpleNamespace

import numpy as np
import pytest

from ktune.errors import ModelLost
from ktune.models.fresh_process import FreshProcessFailed
from ktune.models.registry import loading_check


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            "model folder cannot be loaded: [Errno 2] No such file or directory: 'c.npy'",
            "c.npy once, outside .* hold its values in a weight",
        ),
        ("model folder cannot be loaded: bad magic number", "bad magic number$"),
    ],
)
def test_a_model_that_reads_a_file_is_refused_with_the_remedy(
    monkeypatch, tmp_path, error, remedy
):
    def fail(*_):
        raise FreshProcessFailed(error)

    monkeypatch.setattr(loading_check, "run_fresh", fail)
    package = SimpleNamespace(example=np.zeros((1, 2)))
    with pytest.raises(ModelLost, match=remedy):
        loading_check.check_in_fresh_process(tmp_path, package)
