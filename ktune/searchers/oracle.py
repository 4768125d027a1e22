"""Wrapper of KerasTuner's oracles; the only module that uses their private members.

Private members of KerasTuner 1.4.8 used here, and why:

- ``_save_trial`` (and the public ``save``) is disabled: an oracle writes JSON files
  after every call, and resumes from them incorrectly (the last trial is run twice,
  grid search stops). The trial store holds everything, so no files are needed, and
  ``_set_project_dir`` is not called.
- ``_duplicate`` always returns False: it also compares inactive values, and gives up
  after 20 collisions for any size of the space. ktune compares active values only,
  and knows exactly when a space is exhausted.
- ``_seed_state`` and ``_random_state`` are set before every proposal, so that it
  depends on the trials before it and its number, not on the history of a generator,
  which is lost in a crash.
- ``_get_size``, ``_get_num_rounds`` and ``_get_num_brackets`` give the number of
  trials in a sweep of Hyperband.

The oracle searches a space encoded by ktune: every parameter is either an index into
a list or a continuous range, named by its key in the trial store, without conditions.
This avoids inexact floats, a lost maximum (``0.3 // 0.1 == 2.0``), and parameters
with equal names. A parameter that the builder did not request in a trial has the
value `Encoding.inactive`.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner import oracles
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ktune.errors import SearchAborted
from ktune.metrics.scores import Objective
from ktune.searchers.configuration import Configuration
from ktune.searchers.oracle_encoding import Encoding, encoding_of
from ktune.trial import Value
from ktune.utils.seeds import derive_seed

_SCORE = "score"
_MAX_GRID_REJECTIONS = 10_000

_BAYESIAN = "bayesian"
_HYPERBAND = "hyperband"
_GRID = "grid"


@dataclass(frozen=True)
class Proposal:
    """Proposal of an oracle.

    Attributes:
        index: Number of the oracle's trial.
        values: Encoded values by key.
        epochs: Budget; None if the oracle sets none.
        parent: Index of the trial that is promoted; None for a new configuration.
    """

    index: int
    values: Mapping[str, Any]
    epochs: int | None
    parent: int | None


class Oracle:
    """Oracle of KerasTuner.

    Args:
        name: One of ``ktune.experiment.choices.SAMPLERS["kerastuner"]``.
        direction: "max" or "min".
        seed: Seed of the search.
        epochs: Maximum number of epochs; Hyperband's largest budget.
    """

    def __init__(self, name: str, direction: str, *, seed: int, epochs: int) -> None:
        self.name = name
        self.is_stopped = False
        self._encodings: dict[str, Encoding] = {}
        self._trials: list[Any] = []  # KerasTuner's trials, in the order created
        self._seed = seed
        self._broken_by: Exception | None = None
        objective = keras_tuner.Objective(_SCORE, direction)
        self._worst = Objective(_SCORE, "max" if direction == "max" else "min").worst
        self._oracle = _prepare(_FACTORIES[name](objective, seed, epochs))

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def is_hyperband(self) -> bool:
        """Whether trials have budgets and parents."""
        return self.name == _HYPERBAND

    @property
    def is_grid(self) -> bool:
        """Whether the oracle enumerates a grid in its own order."""
        return self.name == _GRID

    @property
    def max_rejections(self) -> int:
        """Number of rejected proposals in a row after which none will be accepted."""
        if self.is_hyperband:
            return sum(
                self._oracle._get_size(bracket, round_index)
                for bracket in range(self._oracle._get_num_brackets())
                for round_index in range(self._oracle._get_num_rounds(bracket))
            )
        return _MAX_GRID_REJECTIONS if self.is_grid else 1

    @property
    def has_space(self) -> bool:
        """Whether a parameter has more than one value."""
        return bool(self._encodings)

    def decode(self, key: str, raw: Any) -> Value:
        """Return the value of an encoded one."""
        return self._encodings[key].decode(raw)

    def register(self, configuration: Configuration) -> None:
        """Add new parameters to the space, and to all trials so far."""
        for assignment in configuration:
            if (
                assignment.key not in self._encodings
                and not assignment.parameter.is_single
            ):
                self._register(
                    assignment.key,
                    encoding_of(assignment.parameter, is_grid=self.is_grid),
                )

    def propose(self) -> Proposal | None:
        """Create the oracle's next trial.

        Returns:
            None while the oracle waits for results, or once it `is_stopped`.
        """
        index = len(self._trials)
        self._reseed(index)
        # A new tuner id: an oracle returns the open trial of a known tuner again.
        with self._guarded(), self._single_blas_thread():
            trial = self._oracle.create_trial(f"tuner-{index}")
        if trial.status != "RUNNING":
            self.is_stopped = trial.status == "STOPPED"
            return None
        self._trials.append(trial)
        return _proposal(index, trial.hyperparameters.values)

    def insert(self, configuration: Configuration) -> int:
        """Create a trial with given values, without computing a proposal."""
        self.register(configuration)
        values = {"status": "RUNNING", "values": self._encoded(configuration)}
        computed = self._oracle.populate_space
        self._oracle.populate_space = lambda trial_id: values
        try:
            proposal = self.propose()
        finally:
            self._oracle.populate_space = computed
        assert proposal is not None
        return proposal.index

    def set_values(self, index: int, configuration: Configuration) -> None:
        """Set the values that the builder of a trial requested."""
        self.register(configuration)
        values = self._trials[index].hyperparameters.values
        # Hyperband keeps its own state in values named tuner/….
        kept = {name: value for name, value in values.items() if _is_budget(name)}
        self._trials[index].hyperparameters.values = {
            **self._encoded(configuration),
            **kept,
        }

    def finish(self, index: int, score: float | None) -> None:
        """End a trial; a score of None marks it as failed."""
        trial = self._trials[index]
        if score is None and self.is_hyperband:
            # Hyperband does not replace failed trials, and never finishes a bracket
            # with a failed one: 19 of 23 trials if a quarter of them fail.
            score = self._worst
        with self._guarded():
            if score is not None:
                self._oracle.update_trial(trial.trial_id, {_SCORE: score})
            trial.status = "FAILED" if score is None else "COMPLETED"
            self._oracle.end_trial(trial)

    def _single_blas_thread(self) -> Any:
        # Many threads slow down small matrices on a busy machine: 24 s instead of 2
        # per proposal.
        if self.name == _BAYESIAN:
            return threadpool_limits(limits=1, user_api="blas")
        return contextlib.nullcontext()

    def _register(self, key: str, encoding: Encoding) -> None:
        self._encodings[key] = encoding
        declared = encoding.declare(key)
        space = keras_tuner.HyperParameters()
        space.merge([declared])
        with self._guarded():
            self._oracle.update_space(space)
            for trial in self._trials:
                trial.hyperparameters.merge([declared], overwrite=False)
                trial.hyperparameters.values[key] = encoding.inactive

    def _encoded(self, configuration: Configuration) -> dict[str, Any]:
        active = {assignment.key: assignment.value for assignment in configuration}
        return {
            key: encoding.encode(active[key]) if key in active else encoding.inactive
            for key, encoding in self._encodings.items()
        }

    def _reseed(self, index: int) -> None:
        seed = derive_seed(self._seed, "oracle", index)
        self._oracle._seed_state = seed
        self._oracle._random_state = np.random.RandomState(seed)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Suppress warnings, and refuse calls of an oracle that has raised.

        An exception inside an oracle's method leaves its lock held, so a later call
        from another thread would wait forever.
        """
        if self._broken_by is not None:
            raise SearchAborted(_failure_message(self._broken_by))
        try:
            with warnings.catch_warnings():
                # Two DeprecationWarnings per call about names of threads, and
                # convergence warnings of the Gaussian process.
                warnings.simplefilter("ignore")
                yield
        except Exception as error:
            self._broken_by = error
            raise SearchAborted(_failure_message(error)) from error


def _prepare(oracle: Any) -> Any:
    oracle.verbose = 0
    oracle.save = _do_nothing
    oracle._save_trial = _do_nothing
    oracle._duplicate = lambda values: False
    return oracle


def _do_nothing(*args: Any) -> None:
    return None


def _failure_message(error: Exception) -> str:
    return (
        f"KerasTuner's oracle failed: {type(error).__name__}: {error}. Finished trials "
        "are kept: continue with --resume, or with engine='optuna'"
    )


def _is_budget(name: str) -> bool:
    return name.startswith("tuner/")


def _proposal(index: int, values: Mapping[str, Any]) -> Proposal:
    parent = values.get("tuner/trial_id")
    return Proposal(
        index=index,
        values={name: v for name, v in values.items() if not _is_budget(name)},
        epochs=values.get("tuner/epochs"),
        parent=None if parent is None else int(parent),
    )


_UNLIMITED: dict[str, Any] = {
    # KerasTuner would raise at the third failure in a row; ktune counts failures.
    "max_consecutive_failed_trials": 10**9,
}


def _random(objective: Any, seed: int, epochs: int) -> Any:
    return oracles.RandomSearchOracle(
        objective, max_trials=None, seed=derive_seed(seed, "oracle"), **_UNLIMITED
    )


def _bayesian(objective: Any, seed: int, epochs: int) -> Any:
    return oracles.BayesianOptimizationOracle(
        objective, max_trials=None, seed=derive_seed(seed, "oracle"), **_UNLIMITED
    )


def _grid(objective: Any, seed: int, epochs: int) -> Any:
    return oracles.GridSearchOracle(
        objective, max_trials=None, seed=derive_seed(seed, "oracle"), **_UNLIMITED
    )


def _hyperband(objective: Any, seed: int, epochs: int) -> Any:
    return oracles.HyperbandOracle(
        objective,
        max_epochs=epochs,
        factor=3,
        # Sweep after sweep, until the search has its trials.
        hyperband_iterations=None,
        seed=derive_seed(seed, "oracle"),
        **_UNLIMITED,
    )


_FACTORIES: Mapping[str, Callable[[Any, int, int], Any]] = {
    "bayesian": _bayesian,
    "random": _random,
    "grid": _grid,
    "hyperband": _hyperband,
}
