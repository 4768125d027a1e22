"""Optuna proposes: its samplers behind ktune's `Searcher` door."""

from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.samplers import BaseSampler, RandomSampler

from ktune.errors import SpaceError
from ktune.searchers.constraints import make_tpe
from ktune.searchers.discovery import Declare
from ktune.searchers.parameter import MOST_VALUES, Parameter
from ktune.searchers.pruners import make_pruner
from ktune.searchers.requirements import check_installed
from ktune.searchers.search_state import SearchState
from ktune.searchers.study import quiet
from ktune.searchers.trial_store import TrialStore
from ktune.trial import Trial, TrialResult, Value
from ktune.utils.seeds import derive_seed

_ATTEMPTS = 5
"""So often a sampler may propose again what was tried already."""


class OptunaSearcher:
    """Proposes trials by an Optuna sampler, define-by-run.

    The first trial is always the configuration of all defaults. Every trial is
    proposed by a new sampler whose seed depends on nothing but the search's seed and
    the trial's number, so a search that is continued proposes what it would have
    proposed undisturbed (a sampler that lives on, or is made again with one seed,
    does not: 14 + 6 trials differed from 20).

    Args:
        declare: Asks an ``hp`` for everything a trial needs.
        trial_store: Records every trial; if it holds some already, the search goes on
            after them.
        sampler: One of ``ktune.experiment.choices.SAMPLERS["optuna"]``.
        pruner: One of `ktune.experiment.choices.PRUNERS`.
        seed: The search's seed.
        epochs: The most epochs a trial takes, if known; some pruners plan by it.
        start_from: Values of trials to begin with, after that of all defaults.

    Raises:
        ExperimentError: The sampler needs a package that is not installed.
    """

    def __init__(
        self,
        declare: Declare,
        *,
        trial_store: TrialStore,
        sampler: str = "tpe",
        pruner: str = "median",
        seed: int = 0,
        epochs: int | None = None,
        start_from: Sequence[Mapping[str, Value]] = (),
    ) -> None:
        check_installed(sampler)
        trial_store.study.pruner = make_pruner(pruner, epochs)
        self._sampler = sampler
        self._state = SearchState(declare, trial_store, seed, start_from)

    @property
    def is_exhausted(self) -> bool:
        """Whether every configuration of a finite space has been tried."""
        return self._state.is_exhausted

    def ask(self) -> Trial | None:
        """Propose a trial; None: everything has been tried.

        Raises:
            SpaceError: A parameter is of a sort the sampler cannot enumerate.
        """
        if repeated := self._state.repeat():
            return repeated
        if self.is_exhausted:
            return None
        if planned := self._planned():
            return planned
        if self._sampler == "grid":
            return self._ask_grid()
        return self._ask_sampler() or self._ask_for_what_is_left()

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Take the objective after an epoch; answer whether the trial may go on."""
        return self._state.trial_store.report(trial.number, step, value)

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Take the result of a trial asked before."""
        self._state.tell(trial, result)

    def _planned(self) -> Trial | None:
        path = self._state.planned_path()
        if self._sampler == "grid":
            for step in path or ():
                _check_enumerable(step.parameter)
        return None if path is None else self._state.enter(path)

    def _ask_sampler(self) -> Trial | None:
        for attempt in range(_ATTEMPTS):
            slot = self._state.trial_store.draw(self._new_sampler(attempt))
            try:
                path = self._state.discover(slot.propose)
            except SpaceError:
                self._state.trial_store.drop(slot, "the space cannot be honoured")
                raise
            if path not in self._state.explored:
                return self._state.enter(path, slot)
            self._state.trial_store.drop(slot, "duplicate")
        return None

    def _ask_for_what_is_left(self) -> Trial | None:
        path = self._state.random_path_left()
        return None if path is None else self._state.enter(path)

    def _ask_grid(self) -> Trial | None:
        """Return what is left, in the order declared."""
        left = self._state.path_left(lambda values: values[0], _propose_first_value)
        return None if left is None else self._state.enter(left)

    def _new_sampler(self, attempt: int) -> BaseSampler:
        seed, number = self._state.seed, self._state.next_number
        with quiet():
            return _MAKERS[self._sampler](
                derive_seed(seed, "sampler", number, attempt),
                derive_seed(seed, "sampler"),
            )


def _check_enumerable(parameter: Parameter) -> None:
    if parameter.values is None:
        raise SpaceError(
            f"parameter {parameter.name!r}: sampler 'grid' needs a finite number of "
            f"values, at most {MOST_VALUES:,}. Give it a step, use hp.Choice, or take "
            "another sampler"
        )


def _propose_first_value(key: str, parameter: Parameter) -> Value:
    _check_enumerable(parameter)
    return parameter.value_at(0)


def _tpe(seed: int, fixed_seed: int) -> BaseSampler:
    return make_tpe(seed)


def _gp(seed: int, fixed_seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed)


def _cmaes(seed: int, fixed_seed: int) -> BaseSampler:
    return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _nsga2(seed: int, fixed_seed: int) -> BaseSampler:
    # Optuna's population of 50 would be all there is of most searches: a first
    # generation is random.
    return optuna.samplers.NSGAIISampler(population_size=20, seed=seed)


def _random(seed: int, fixed_seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _qmc(seed: int, fixed_seed: int) -> BaseSampler:
    # The points of one sequence: its scrambling may not change from trial to trial.
    return optuna.samplers.QMCSampler(
        scramble=True,
        seed=fixed_seed,
        independent_sampler=RandomSampler(seed=seed),
        warn_independent_sampling=False,
    )


_MAKERS: Mapping[str, Callable[[int, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "nsga2": _nsga2,
    "random": _random,
    "qmc": _qmc,
}
