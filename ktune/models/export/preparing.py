"""Prepare a model for all exporters, with embedded preprocessing if possible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktune.data.dataset import Inputs, input_shape
from ktune.data.preprocessing import FittedPreprocessing
from ktune.models.export.complete_model import (
    InputForm,
    complete_model,
    unrolled,
)
from ktune.models.export.embedded_preprocessing import NotEmbeddable, embed
from ktune.models.export.external_preprocessing import TRANSFORMER_FILE, transformed
from ktune.models.export.rows_file import SINGLE_INPUT, as_arrays
from ktune.protocols import ExportJob


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model prepared for export.

    Attributes:
        job: The job of all exporters.
        preprocessing: Preprocessing of raw rows for the trained model.
        reason: Why it cannot be embedded; "" if it is.
    """

    job: ExportJob
    preprocessing: FittedPreprocessing
    reason: str


def prepare(
    *,
    model: Any,
    preprocessing: FittedPreprocessing,
    columns: Sequence[str],
    name: str,
    rows: Inputs,
    facts: Mapping[str, Any],
    output_names: Sequence[str] = (),
) -> Prepared:
    """Combine preprocessing and model, if the preprocessing can be embedded.

    Args:
        model: The trained Keras model.
        preprocessing: The fitted preprocessing.
        columns: Names of the columns of a table; empty for arrays.
        name: Stem of the files to write.
        rows: Raw rows that represent the data.
        facts: Known metadata, see `ktune.models.export.metadata`.
        output_names: Names of several outputs; empty for one.
    """
    blocks, reason = {}, ""
    for name_of_input, part in _parts(preprocessing, rows).items():
        try:
            blocks[name_of_input] = embed(part, columns)
        except NotEmbeddable as error:
            reason = str(error)
            rows = transformed(rows, name_of_input, part)
    is_own_input = not any(blocks.values())
    inputs = _input_forms(model, rows, is_own_input=is_own_input)
    metadata = {
        **facts,
        "inputs": {
            name: {"shape": list(form.shape), "type": form.dtype}
            for name, form in inputs.items()
        },
        **({"output_names": list(output_names)} if output_names else {}),
        "columns": [] if reason else list(columns),
        "preprocessing": TRANSFORMER_FILE if reason else "inside",
    }
    example = {
        name: part.astype(inputs[name].dtype, copy=False)
        for name, part in as_arrays(rows).items()
    }
    job = ExportJob(
        model=complete_model(model, blocks, inputs, output_names),
        unroll=lambda: complete_model(unrolled(model), blocks, inputs, output_names),
        name=name,
        metadata=metadata,
        example=example,
    )
    return Prepared(job, preprocessing, reason)


def _parts(
    preprocessing: FittedPreprocessing, rows: Inputs
) -> Mapping[str, FittedPreprocessing]:
    """Return the preprocessing of each input by its name."""
    if isinstance(rows, Mapping):
        return {name: preprocessing.part(name) for name in rows}
    return {SINGLE_INPUT: preprocessing}


def _input_forms(
    model: Any, rows: Inputs, *, is_own_input: bool
) -> dict[str, InputForm]:
    """Return the inputs: floats, unless integers are passed directly to the model."""
    shapes = input_shape(rows)
    if not isinstance(shapes, Mapping):
        shapes = {SINGLE_INPUT: shapes}
    tensors = (getattr(model, "inputs", None) or []) if is_own_input else []
    if len(tensors) == 1 and len(shapes) == 1:
        return {name: InputForm(s, tensors[0].dtype) for name, s in shapes.items()}
    types = {tensor.name: tensor.dtype for tensor in tensors}
    return {n: InputForm(s, types.get(n, "float32")) for n, s in shapes.items()}
