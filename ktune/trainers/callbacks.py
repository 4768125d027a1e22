"""The user's Keras callbacks, one copy per fold, called as Keras calls them."""

import copy
from collections.abc import Sequence
from typing import Any

from ktune.errors import ExperimentError
from ktune.trainers.callback_files import refuse_backup, write_below


def make_callbacks(callbacks: Sequence[Any], folder: str = "") -> list[Any]:
    """Return fresh callbacks for one fold.

    Args:
        callbacks: Keras callbacks, which are copied, or functions that return one.
        folder: Folder for the files that callbacks write, see `write_below`; "":
            they write to their own paths.

    Raises:
        ExperimentError: An item is not a callback, cannot be copied, or is a callback
            for which ktune has its own means.
    """
    copies = [_make_callback(item) for item in callbacks]
    for callback in copies:
        _refuse_early_stopping(callback)
        refuse_backup(callback)
        if folder:
            write_below(callback, folder)
    return copies


class CallbackDriver:
    """Calls the callbacks of one fold.

    ``on_train_begin`` and ``on_train_end`` are called once, although training proceeds
    epoch by epoch, and ``on_epoch_end`` also gets the validation scores.

    Args:
        callbacks: Callbacks of the fold, from `make_callbacks`.
        model: The Keras model of the callbacks.
        epochs: Maximum number of epochs.
        steps: Batches per epoch.
    """

    def __init__(
        self, callbacks: Sequence[Any], model: Any, *, epochs: int, steps: int
    ) -> None:
        import keras

        self._list = keras.callbacks.CallbackList(
            list(callbacks),
            add_history=True,
            model=model,
            epochs=epochs,
            steps=steps,
            verbose=0,
        )
        self._model = model
        self._last_logs: dict[str, float] = {}
        self._has_begun = False
        self._has_ended = False

    @property
    def wants_to_stop(self) -> bool:
        """Whether a callback has set ``model.stop_training``."""
        return bool(self._model.stop_training)

    def begin_epoch(self, epoch: int) -> None:
        """Call the hooks at the beginning of an epoch."""
        if not self._has_begun:
            self._has_begun = True
            self._model.stop_training = False
            self._list.on_train_begin()
        self._list.on_epoch_begin(epoch)

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Call the hooks at the end of an epoch; ``logs`` has Keras's names."""
        self._last_logs = logs
        self._list.on_epoch_end(epoch, logs)

    def finish(self) -> None:
        """Call the hooks at the end of training; idempotent."""
        if self._has_begun and not self._has_ended:
            self._has_ended = True
            self._list.on_train_end(self._last_logs)

    def batch_forwarder(self) -> Any:
        """Return a callback for ``model.fit`` that forwards batch events only."""
        import keras

        forwarder = keras.callbacks.Callback()
        for event in (
            "on_train_batch_begin",
            "on_train_batch_end",
            "on_test_batch_begin",
            "on_test_batch_end",
        ):
            setattr(forwarder, event, getattr(self._list, event))
        return forwarder


def acts_on_batches(callback: Any) -> bool:
    """Whether a callback overrides a batch hook."""
    import keras

    return any(
        getattr(type(callback), event) is not getattr(keras.callbacks.Callback, event)
        for event in (
            "on_batch_begin",
            "on_batch_end",
            "on_train_batch_begin",
            "on_train_batch_end",
            "on_test_batch_begin",
            "on_test_batch_end",
            "on_predict_batch_begin",
            "on_predict_batch_end",
        )
    ) or _is_batch_lambda(callback)


def _is_batch_lambda(callback: Any) -> bool:
    """Whether a ``LambdaCallback`` has a function for batches."""
    # LambdaCallback sets its functions on the instance (lambda_callback.py, 3.15).
    return any("batch" in name and callable(f) for name, f in vars(callback).items())


def _make_callback(item: Any) -> Any:
    import keras

    if isinstance(item, keras.callbacks.Callback):
        return _copy(item)
    made = item() if callable(item) else item
    if isinstance(made, keras.callbacks.Callback):
        return made
    raise ExperimentError(
        "`fit` setting 'callbacks' must hold Keras callbacks or functions that "
        f"return one; got {item!r}"
    )


def _copy(callback: Any) -> Any:
    try:
        return copy.deepcopy(callback)
    except Exception as error:  # whatever the user's objects raise
        name = type(callback).__name__
        raise ExperimentError(
            f"`fit` setting 'callbacks': {name} cannot be copied ({error}), and each "
            f"fold needs its own. Give a function instead: lambda: {name}(...)"
        ) from error


def _refuse_early_stopping(callback: Any) -> None:
    import keras

    if isinstance(callback, keras.callbacks.EarlyStopping):
        raise ExperimentError(
            "`fit` setting 'callbacks' contains EarlyStopping, which would stop each "
            "fold at its own best epoch. Use fit's `early_stopping` "
            f"({callback.patience} epochs of patience here) instead: all folds stop "
            "together, by their mean."
        )
