"""Load a model in a fresh process before it is registered, and compare its outputs."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktune.errors import ExportRefused, ModelLost
from ktune.models.fresh_process import FreshProcessFailed, run_fresh

if TYPE_CHECKING:
    from ktune.models.registry.packaged_model import PackagedModel

_EXACT = 1e-4  # another process may share its work among other threads


def check_in_fresh_process(folder: Path, package: "PackagedModel") -> None:
    """Check that a model folder loads elsewhere and predicts as the model here.

    Args:
        folder: Folder of the model, as saved by MLflow.
        package: The packaged model.

    Raises:
        ModelLost: It does not load, or predicts something else.
    """
    from ktune.models.export.rows_file import read_outputs, write_rows_file

    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        outputs = scratch / "outputs.npz"
        rows = write_rows_file(package.example, scratch)
        words = [str(folder), str(rows), str(outputs)]
        try:
            run_fresh("ktune.models.registry.fresh_load", words, scratch)
        except FreshProcessFailed as error:
            reason = f"a fresh process cannot load it: {error}"
            raise ModelLost(reason + remedy_for(str(error))) from error
        compare_outputs(read_outputs(outputs)[0], package)


def remedy_for(error: str) -> str:
    """Return the remedy for an error of loading, as the end of its sentence."""
    missing = re.search(r"No such file or directory: '([^']+)'", error)
    if missing is None:
        return ""
    return (
        f" (files do not travel with a model: read {missing[1]} in `build`, outside of "
        "the layer, and hold its values in a weight, or return them from `get_config`)"
    )


def compare_outputs(found: Any, package: "PackagedModel") -> None:
    """Compare what another process predicts for the example with the model here.

    Raises:
        ModelLost: It is something else.
    """
    from ktune.evaluation.refit import predict
    from ktune.models.export.parity import largest_difference
    from ktune.models.tolerance import compute_type, tolerance_for

    fitted = package.fitted
    expected, again = (
        predict(fitted.model, fitted.preprocessing, package.example) for _ in range(2)
    )
    allowed = tolerance_for(compute_type(fitted.model), _EXACT)
    try:
        difference = largest_difference(found, expected)
        # A model that draws numbers when it predicts never says the same twice.
        is_random = largest_difference(again, expected) > allowed
    except ExportRefused as error:
        raise ModelLost(f"loaded in a fresh process, its {error}") from error
    if difference > allowed and not is_random:
        raise ModelLost(
            "loaded in a fresh process, it predicts something else, by up to "
            f"{difference:.1e}; a value may be missing in `get_config` of a class"
        )
