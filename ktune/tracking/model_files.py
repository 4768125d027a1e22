"""Files of logged models in MLflow: write a model folder, log it, read it back."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktune.data.table_and_images import has_table_beside, joined
from ktune.errors import DataError, StoreError
from ktune.tracking.store import Store, all_pages, quiet_mlflow

_CODE_LOADER = "mlflow.pyfunc.loaders.code_model"


@dataclass(frozen=True)
class InputSchema:
    """The rows an MLflow model declares to take.

    Attributes:
        columns: Names of the columns of a table; None: not a table with names.
        n_columns: Number of columns without names; 0: not columns.
        tensors: Names of the inputs of a model with several; empty for one tensor.
    """

    columns: Sequence[str] | None = None
    n_columns: int = 0
    tensors: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """Content of an MLflow model folder.

    Attributes:
        code: Python file that MLflow runs to load the model.
        artifacts: Name to path of its parts.
        inputs: The schema of its rows.
        outputs: Predictions for the example, an array or arrays by name; they set type
            and shape of the outputs.
        example: A few raw rows.
        requirements: Lines of a requirements file.
        code_paths: Files and folders that MLflow prepends to Python's path.
    """

    code: Path
    artifacts: Mapping[str, str]
    inputs: InputSchema
    outputs: Any
    example: Any
    requirements: Sequence[str]
    code_paths: Sequence[str] = ()


def log_model(
    store: Store,
    write: Callable[[Path], ModelFolder],
    *,
    name: str,
    run_id: str,
    tags: Mapping[str, str],
    check: Callable[[Path], None] = lambda _: None,
) -> Any:
    """Log a model to a run; return MLflow's logged model.

    Only MLflow's client is used, since MLflow's fluent functions have global state.

    Args:
        store: The store to write to.
        write: Writes the parts into a folder and returns its content.
        name: Name of the model.
        run_id: The run whose page lists the model.
        tags: Tags of the logged model.
        check: Function that checks the folder; an exception leaves no logged model.
    """
    from mlflow.entities import LoggedModelOutput

    client = store.client
    run = client.get_run(run_id)
    logged = client.create_logged_model(
        experiment_id=run.info.experiment_id,
        name=_logged_model_name(name),
        source_run_id=run_id,
        tags=dict(tags),
        model_type="keras",
    )
    with tempfile.TemporaryDirectory() as parts, tempfile.TemporaryDirectory() as whole:
        path = Path(whole, "model")
        identity = _identity(logged, run_id)
        try:
            save_model_folder(write(Path(parts)), path, identity=identity)
            check(path)
        except BaseException:
            client.delete_logged_model(logged.model_id)
            raise
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return logged


def delete_pending_models(store: Store, run_id: str) -> int:
    """Delete the logged models of a run that a kill has left unfinished.

    Returns:
        Their number.
    """
    from mlflow.entities import LoggedModelStatus

    client = store.client
    ids = [client.get_run(run_id).info.experiment_id]
    query = f"source_run_id = '{run_id}'"
    found = all_pages(
        lambda token: client.search_logged_models(ids, query, page_token=token)
    )
    # MLflow's filter does not find a status in a database (3.17).
    pending = [m for m in found if m.status == LoggedModelStatus.PENDING]
    for model in pending:
        client.delete_logged_model(model.model_id)
    return len(pending)


def save_model_folder(content: ModelFolder, folder: Path, *, identity: Any) -> None:
    """Write an MLflow model folder: signature, input example, requirements, parts.

    Args:
        content: Its content.
        folder: The folder; must not exist yet.
        identity: The `mlflow.models.Model` with the ids of the logged model.
    """
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(content.code),
        artifacts=dict(content.artifacts),
        code_paths=list(content.code_paths) or None,
        signature=_signature(content.inputs, content.outputs),
        input_example=content.example,
        # Listed, because MLflow would import everything again to infer them.
        pip_requirements=list(content.requirements),
        mlflow_model=identity,
    )


def _identity(logged: Any, run_id: str) -> Any:
    import keras
    from mlflow.models import Model

    identity = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        run_id=run_id,
        model_id=logged.model_id,
    )
    identity.add_flavor(
        "keras",
        data="artifacts",
        keras_version=keras.__version__,
        keras_backend=keras.backend.backend(),
        save_exported_model=False,
    )
    return identity


def _signature(inputs: InputSchema, outputs: Any) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    any_rows = np.dtype("O")
    if inputs.columns is not None:
        specs = [ColSpec(AnyType(), name=name) for name in inputs.columns]
    elif inputs.tensors:
        specs = [TensorSpec(any_rows, (-1,), name=name) for name in inputs.tensors]
    elif inputs.n_columns:
        specs = [ColSpec(AnyType()) for _ in range(inputs.n_columns)]
    else:
        specs = [TensorSpec(any_rows, (-1,))]
    parts = outputs if isinstance(outputs, Mapping) else {None: outputs}
    found = [
        TensorSpec(np.dtype(part.dtype), (-1, *part.shape[1:]), name=name)
        for name, part in parts.items()
    ]
    return ModelSignature(Schema(specs), Schema(found))


def _logged_model_name(name: str) -> str:
    # MLflow forbids / : . % " ' in the names of logged models.
    return "".join("_" if letter in "/:.%\"'" else letter for letter in name)


def add_model_files(store: Store, model_id: str, folder: Path) -> None:
    """Add the files of a folder to those of a logged model."""
    store.client.log_model_artifacts(model_id, str(folder))


def find_logged_model(store: Store, model_id: str) -> Any:
    """Return MLflow's logged model.

    Raises:
        StoreError: There is none of this id.
    """
    from mlflow.exceptions import MlflowException

    try:
        return store.client.get_logged_model(model_id)
    except MlflowException as error:
        raise StoreError(str(error)) from error


@contextlib.contextmanager
def downloaded(store: Store, uri: str, label: str) -> Iterator[Path]:
    """A copy of a model's folder; MLflow may write into the folder it loads from.

    Args:
        store: Where the model stands.
        uri: Where MLflow downloads it from.
        label: Its name in messages.

    Raises:
        StoreError: The files cannot be read.
    """
    import mlflow.artifacts

    with tempfile.TemporaryDirectory() as folder:
        try:
            with quiet_mlflow():
                path = mlflow.artifacts.download_artifacts(
                    uri, dst_path=folder, tracking_uri=store.location.uri
                )
        except Exception as error:
            raise unreadable(label, error) from error
        yield Path(path)


def refuse_pickles(folder: Path, label: str) -> None:
    """Refuse a model that would be unpickled, which can run any code.

    Raises:
        StoreError: It is not made of ktune's code, a Keras file and plain values.
    """
    from mlflow.models import Model

    flavor = Model.load(str(folder)).flavors.get("python_function", {})
    if flavor.get("loader_module") != _CODE_LOADER:
        raise StoreError(
            f"model {label} is not loaded from code and plain values as ktune's are, "
            f"but by {flavor.get('loader_module')}, which may unpickle it and run "
            "anything. If you trust it, load it by mlflow.pyfunc.load_model."
        )


def load_pyfunc(folder: Path, label: str) -> Any:
    """Return MLflow's pyfunc of a model folder: raw rows in, outputs out.

    Raises:
        StoreError: It cannot be loaded, or would be unpickled.
    """
    import mlflow.pyfunc

    refuse_pickles(folder, label)
    try:
        with quiet_mlflow():
            return mlflow.pyfunc.load_model(str(folder))
    except Exception as error:
        raise unreadable(label, error) from error


def predict_rows(pyfunc: Any, rows: Any) -> Any:
    """Return what a pyfunc predicts for raw rows: an array, or arrays by name.

    Raises:
        DataError: The rows are not what it takes.
    """
    from mlflow.exceptions import MlflowException

    if has_table_beside(rows):
        rows = joined(rows)
    try:
        with quiet_mlflow():
            outputs = pyfunc.predict(rows)
    except MlflowException as error:
        raise DataError(str(error.message)) from error
    return outputs if isinstance(outputs, Mapping) else np.asarray(outputs)


def read_example(folder: Path) -> Any:
    """Return the few raw rows that were recorded with a model."""
    from mlflow.models import Model

    return Model.load(str(folder)).load_input_example(str(folder))


def unreadable(label: str, error: Exception) -> StoreError:
    """Return the error of a model that cannot be read or loaded."""
    return StoreError(f"model {label} cannot be loaded: {error}")
