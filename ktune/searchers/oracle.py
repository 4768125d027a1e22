"""KerasTuner's oracles, made safe to drive: the one place that touches their inside.

What is private to KerasTuner 1.4.8 and used here, and why:

- ``_save_trial`` is silenced, and ``save`` (public): an oracle writes JSON files after
  every call, and goes on from them wrongly (the last trial is run twice, grid search
  stops). The ledger holds everything, so nothing needs to be on disk, nor does
  ``_set_project_dir`` need to be called.
- ``_duplicate`` always says no: it compares values that no builder asked for, and
  gives up after 20 collisions whatever the size of the space. ktune compares what was
  asked for, and knows exactly when a space is exhausted.
- ``_seed_state`` and ``_random_state`` are set before every proposal, so that it
  depends on the trials before it and its number, not on a generator's history, which
  is lost in a crash.
- ``_get_size``, ``_get_num_rounds`` and ``_get_num_brackets`` tell how many trials a
  sweep of Hyperband has.

The oracle's space is of ktune's making: every parameter is either an index of a list
or a continuous range, under its key in the ledger, and without conditions. So values
that floats cannot hit exactly, a lost maximum (``0.3 // 0.1 == 2.0``), and parameters
that share a name are none of its business. A parameter that the builder did not ask
for in a trial has there the value `Encoding.inactive`.
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
from ktune.searchers.oracle_code import Encoding, encoding_of
from ktune.trial import Value
from ktune.utils.seeds import derive_seed

_SCORE = "score"
_MOST_OF_A_GRID = 10_000

_BAYESIAN = "bayesian"
_HYPERBAND = "hyperband"
_GRID = "grid"


@dataclass(frozen=True)
class Proposal:
    """What an oracle proposes.

    Attributes:
        index: Number of the oracle's trial.
        values: Key to value in the oracle's code.
        epochs: Budget; None: the oracle sets none.
        parent: Index of the oracle's trial to go on with; None: start anew.
    """

    index: int
    values: Mapping[str, Any]
    epochs: int | None
    parent: int | None


class Oracle:
    """One of KerasTuner's oracles, asked for proposals and told scores.

    Args:
        name: One of ``ktune.experiment.choices.SAMPLERS["kerastuner"]``.
        direction: "max" or "min".
        seed: The search's seed.
        epochs: The most epochs a trial takes; Hyperband's largest budget.
    """

    def __init__(self, name: str, direction: str, *, seed: int, epochs: int) -> None:
        self.name = name
        self.is_stopped = False
        self._codes: dict[str, Encoding] = {}
        self._trials: list[Any] = []  # KerasTuner's trials, in the order created
        self._seed = seed
        self._broken_by: Exception | None = None
        objective = keras_tuner.Objective(_SCORE, direction)
        self._worst = Objective(_SCORE, "max" if direction == "max" else "min").worst
        self._oracle = _prepared(_MAKERS[name](objective, seed, epochs))

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def is_hyperband(self) -> bool:
        """Whether trials have budgets and parents."""
        return self.name == _HYPERBAND

    @property
    def is_grid(self) -> bool:
        """Whether the order of trials is the oracle's own."""
        return self.name == _GRID

    @property
    def patience(self) -> int:
        """How many useless proposals in a row mean that no useful one will come."""
        if self.is_hyperband:
            return sum(
                self._oracle._get_size(bracket, round_index)
                for bracket in range(self._oracle._get_num_brackets())
                for round_index in range(self._oracle._get_num_rounds(bracket))
            )
        return _MOST_OF_A_GRID if self.is_grid else 1

    @property
    def has_space(self) -> bool:
        """Whether there is a parameter with a choice of values."""
        return bool(self._codes)

    def decode(self, key: str, raw: Any) -> Value:
        """Return what a proposed value means."""
        return self._codes[key].decode(raw)

    def register(self, path: Configuration) -> None:
        """Take new parameters into the space, from now on and for all trials so far."""
        for step in path:
            if step.key not in self._codes and not step.parameter.is_single:
                self._register(
                    step.key, encoding_of(step.parameter, is_grid=self.is_grid)
                )

    def propose(self) -> Proposal | None:
        """Create the oracle's next trial.

        Returns:
            None while results of others are awaited, or once `is_stopped`.
        """
        index = len(self._trials)
        self._reseed(index)
        # An oracle gives a tuner that has an open trial the same trial again.
        with self._guarded(), self._few_threads():
            trial = self._oracle.create_trial(f"tuner-{index}")
        if trial.status != "RUNNING":
            self.is_stopped = trial.status == "STOPPED"
            return None
        self._trials.append(trial)
        return _proposal(index, trial.hyperparameters.values)

    def insert(self, path: Configuration) -> int:
        """Create a trial of known values, without computing a proposal."""
        self.register(path)
        values = {"status": "RUNNING", "values": self._encoded(path)}
        computed = self._oracle.populate_space
        self._oracle.populate_space = lambda trial_id: values
        try:
            proposal = self.propose()
        finally:
            self._oracle.populate_space = computed
        assert proposal is not None
        return proposal.index

    def settle(self, index: int, path: Configuration) -> None:
        """Say what a trial's builder really asked for and got."""
        self.register(path)
        values = self._trials[index].hyperparameters.values
        # Hyperband finds its own way by values named tuner/….
        kept = {name: value for name, value in values.items() if _is_budget(name)}
        self._trials[index].hyperparameters.values = {**self._encoded(path), **kept}

    def finish(self, index: int, score: float | None) -> None:
        """End a trial; a score of None says it failed."""
        trial = self._trials[index]
        if score is None and self.is_hyperband:
            # Hyperband does not replace failed trials, and never finishes a bracket
            # that lacks one: 19 trials of 23 with a quarter of them failing.
            score = self._worst
        with self._guarded():
            if score is not None:
                self._oracle.update_trial(trial.trial_id, {_SCORE: score})
            trial.status = "FAILED" if score is None else "COMPLETED"
            self._oracle.end_trial(trial)

    def _few_threads(self) -> Any:
        # Small matrices on many threads of a busy machine: 24 s instead of 2 a
        # proposal.
        if self.name == _BAYESIAN:
            return threadpool_limits(limits=1, user_api="blas")
        return contextlib.nullcontext()

    def _register(self, key: str, code: Encoding) -> None:
        self._codes[key] = code
        declared = code.declare(key)
        space = keras_tuner.HyperParameters()
        space.merge([declared])
        with self._guarded():
            self._oracle.update_space(space)
            for trial in self._trials:
                trial.hyperparameters.merge([declared], overwrite=False)
                trial.hyperparameters.values[key] = code.inactive

    def _encoded(self, path: Configuration) -> dict[str, Any]:
        asked = {step.key: step.value for step in path}
        return {
            key: code.encode(asked[key]) if key in asked else code.inactive
            for key, code in self._codes.items()
        }

    def _reseed(self, index: int) -> None:
        seed = derive_seed(self._seed, "oracle", index)
        self._oracle._seed_state = seed
        self._oracle._random_state = np.random.RandomState(seed)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep warnings in, and let nobody call an oracle that has raised.

        An exception inside an oracle's method leaves its lock held, and the next
        call, if from another thread, waits forever.
        """
        if self._broken_by is not None:
            raise SearchAborted(_lost(self._broken_by))
        try:
            with warnings.catch_warnings():
                # Two DeprecationWarnings a call, of its way to name threads, and
                # those of a Gaussian process that does not fit.
                warnings.simplefilter("ignore")
                yield
        except Exception as error:
            self._broken_by = error
            raise SearchAborted(_lost(error)) from error


def _prepared(oracle: Any) -> Any:
    oracle.verbose = 0
    oracle.save = _do_nothing
    oracle._save_trial = _do_nothing
    oracle._duplicate = lambda values: False
    return oracle


def _do_nothing(*args: Any) -> None:
    return None


def _lost(error: Exception) -> str:
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
    # ktune counts trials and failures itself; the third failure in a row would raise.
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


_MAKERS: Mapping[str, Callable[[Any, int, int], Any]] = {
    "bayesian": _bayesian,
    "random": _random,
    "grid": _grid,
    "hyperband": _hyperband,
}
