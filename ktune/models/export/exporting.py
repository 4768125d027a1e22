"""Export a registered model: write files, run them, compare, and keep or refuse."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ktune.data.dataset import Task, count_rows
from ktune.data.fixed_batch import reset_states
from ktune.data.preprocessing import FittedPreprocessing
from ktune.errors import ExportError, ExportRefused
from ktune.metrics.scores import compute_metrics
from ktune.metrics.threshold import of_labels
from ktune.models.export.external_preprocessing import write_preprocessing
from ktune.models.export.parity import check_lossy, largest_difference, replay
from ktune.models.export.preparing import Prepared, prepare
from ktune.models.export.real_rows import RealRows, find_real_rows
from ktune.models.registry.stored_model import StoredModel
from ktune.models.tolerance import compute_type, tolerance_for
from ktune.protocols import Exporter, ExportJob
from ktune.tracking.store import Store
from ktune.utils.runtime import diverted_stderr, quiet_libraries

REPORT_FILE = "export.json"


@dataclass(frozen=True)
class ExportedFile:
    """An exported file or folder, with its comparison.

    Attributes:
        format: Name of the format, as for ``--to``.
        path: Path below the folder of the export.
        n_bytes: Size.
        n_rows: Number of compared rows.
        difference: Largest difference from the registered model, see
            `ktune.models.export.parity.largest_difference`.
        tolerance: Largest allowed difference; None for a lossy format.
        agreement: Agreement of a lossy format, at most 1; see `check_lossy`.
        metric: Metric of the scores; "" without scores.
        score: Score of the registered model on the test set; None if not measured.
        exported_score: Score of the exported model.
        quantized: The quantized parts; "" if there are none.
    """

    format: str
    path: str
    n_bytes: int
    n_rows: int
    difference: float
    tolerance: float | None
    agreement: float | None = None
    metric: str = ""
    score: float | None = None
    exported_score: float | None = None
    quantized: str = ""


@dataclass(frozen=True)
class Export:
    """A finished export.

    Attributes:
        model: The model as ``NAME/VERSION``.
        folder: Folder of the files.
        files: The files with their comparisons.
        rows: Origin of the compared rows.
        not_inside: Why the preprocessing is in a separate file; "" if it is embedded.
        refused: Reasons by format for formats that are not written.
        disagreeing: Those of them whose file did not agree with the model; the others
            cannot hold it.
        compute_type: Least precise number type in the computation of its layers.
    """

    model: str
    folder: str
    files: tuple[ExportedFile, ...]
    rows: str
    not_inside: str
    refused: Mapping[str, str] = field(default_factory=dict)
    disagreeing: tuple[str, ...] = ()
    compute_type: str = "float32"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def export_model(
    store: Store,
    model: StoredModel,
    exporters: Sequence[Exporter],
    folder: Path,
    *,
    given_rows: Path | None = None,
    on_phase: Callable[[str], None] = lambda _: None,
) -> Export:
    """Write a model in several formats; a file that does not agree does not stay.

    Args:
        store: The store of the model.
        model: The registered model.
        exporters: One per format.
        folder: Folder to create.
        given_rows: Rows to compare on; None: those of the search.
        on_phase: Receives progress messages.

    Raises:
        ExportError: The folder is taken, or no format can hold the model.
        ExportRefused: No file that was written agrees.
    """
    check_folder(folder)
    on_phase("reading rows to compare on")
    rows = find_real_rows(store, model, given_rows)
    with _draft(folder) as draft, tempfile.TemporaryDirectory() as scratch:
        prepared = _prepare(model, rows)
        if prepared.reason:
            transformer = model.part("transformer")
            write_preprocessing(draft, transformer, model.spec, prepared.reason)
        files: list[ExportedFile] = []
        errors: dict[str, ExportError | ExportRefused] = {}
        for exporter in exporters:
            before = set(draft.iterdir())
            try:
                on_phase(f"writing {exporter.name}")
                path = _write(exporter, prepared.job, draft)
                on_phase(f"running {exporter.name} in a process of its own")
                files.append(_compare(exporter, path, model, rows, Path(scratch)))
            except (ExportError, ExportRefused) as error:
                errors[exporter.name] = error
                _remove(set(draft.iterdir()) - before)
        disagreeing = [n for n, e in errors.items() if isinstance(e, ExportRefused)]
        if not files:
            kind = ExportRefused if disagreeing else ExportError
            raise kind("; ".join(map(str, errors.values())))
        export = Export(
            model=model.found.label,
            folder=str(folder),
            files=tuple(files),
            rows=rows.origin,
            not_inside=prepared.reason,
            refused={name: str(error) for name, error in errors.items()},
            disagreeing=tuple(disagreeing),
            compute_type=compute_type(model.code.model),
        )
        content = {**export.as_dict(), "metadata": dict(prepared.job.metadata)}
        (draft / REPORT_FILE).write_text(json.dumps(content, indent=2), "utf-8")
        draft.rename(folder)
    return export


def _write(exporter: Exporter, job: ExportJob, folder: Path) -> Path:
    """Write one format.

    Raises:
        ExportError: The format cannot hold the model.
    """
    if hasattr(job.model, "_flatten_layers"):
        reset_states(job.model)  # a file would begin with the states of other rows
    with diverted_stderr(), quiet_libraries():
        try:
            return exporter.write(job, folder)
        except Exception as error:  # raised outside: the log of a converter is long
            failure = error
    if isinstance(failure, ExportError):
        raise ExportError(f"{exporter.name}: {failure}") from failure
    reason = (str(failure).strip().splitlines() or [""])[0]
    raise ExportError(
        f"{exporter.name} cannot hold this model: {type(failure).__name__}: {reason}"
    ) from failure


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def check_folder(folder: Path) -> None:
    """Check that an export can be written to a folder.

    Raises:
        ExportError: The folder is not empty, or its parent does not exist.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(
            f"{folder} already exists. Name another folder with -o, or remove it."
        )
    if not folder.parent.is_dir():
        raise ExportError(f"there is no folder {str(folder.parent)!r} for {folder}.")


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Create a folder beside the final one; remove it unless it was renamed."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        draft.mkdir()
        yield draft
        # The final folder may exist and be empty; rename replaces it.
    except OSError as error:
        raise ExportError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _prepare(model: StoredModel, rows: RealRows) -> Prepared:
    code, spec = model.code, model.spec
    return prepare(
        model=code.model,
        preprocessing=_preprocessing(code, spec),
        columns=model.columns,
        name=model.found.name,
        output_names=spec.get("output_names") or (),
        rows=rows.representative,
        facts={
            "model": model.found.label,
            "task": model.task.value,
            "class_names": list(model.class_names),
            "returns_logits": bool(spec["returns_logits"]),
            "threshold": model.threshold,
        },
    )


def _preprocessing(code: Any, spec: Mapping[str, Any]) -> FittedPreprocessing:
    scale, shift = _as_array(spec["scale"]), _as_array(spec["shift"])
    fitted = FittedPreprocessing(code.transformer, scale, shift)
    if not spec.get("table_input"):
        return fitted
    images = FittedPreprocessing(scale=_as_array(spec["images_scale"]))
    return FittedPreprocessing(
        parts={spec["table_input"]: fitted, spec["images_input"]: images}
    )


def _compare(
    exporter: Exporter, path: Path, model: StoredModel, rows: RealRows, scratch: Path
) -> ExportedFile:
    """Run a file on real rows and compare; on the whole test set if it is lossy.

    Raises:
        ExportRefused: The file does not agree with the registered model.
    """
    is_lossy = exporter.tolerance is None
    raw = rows.test.x if is_lossy and rows.test is not None else rows.compared
    replayed = replay(exporter, path, raw, scratch)
    reference = model.predict(raw)
    tolerance = exporter.tolerance
    if tolerance is not None:
        tolerance = tolerance_for(compute_type(model.code.model), tolerance)
    try:
        difference = largest_difference(replayed.outputs, reference)
        if tuple(replayed.metadata["class_names"]) != model.class_names:
            raise ExportRefused("class names are not those of the registered model")
        file = ExportedFile(
            format=exporter.name,
            path=path.name,
            n_bytes=_size(path),
            n_rows=count_rows(raw),
            difference=difference,
            tolerance=tolerance,
            quantized=str(replayed.metadata.get("quantized", "")),
        )
        if tolerance is None:
            return _compare_lossy(file, replayed.outputs, reference, model, rows)
        if difference > tolerance:
            raise ExportRefused(
                f"differs from the registered model by up to {difference:.1e} on "
                f"{count_rows(raw)} {rows.origin}; at most {tolerance:.0e} is "
                "allowed"
            )
    except ExportRefused as error:
        raise ExportRefused(f"{exporter.name}: {error}") from error
    return file


def _compare_lossy(
    file: ExportedFile,
    outputs: Any,
    reference: Any,
    model: StoredModel,
    rows: RealRows,
) -> ExportedFile:
    exported, registered = map(model.as_predictions, (outputs, reference))
    cut = model.cut
    agreement = check_lossy(cut(exported), cut(registered), model.task)
    if rows.test is None or model.task is Task.CUSTOM:
        return replace(file, agreement=agreement)
    metric, y = rows.test.metric, rows.test.y
    if of_labels((metric,)):
        exported, registered = cut(exported), cut(registered)
    score, exported_score = (
        compute_metrics((metric,), y, part, model.task)[metric]
        for part in (registered, exported)
    )
    return replace(
        file,
        agreement=agreement,
        metric=metric,
        score=score,
        exported_score=exported_score,
    )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


def _as_array(number: Any) -> Any:
    return None if number is None else np.asarray(number)
