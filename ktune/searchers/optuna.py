"""A `Searcher` that uses the samplers of Optuna."""

from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.samplers import BaseSampler, RandomSampler

from ktune.errors import SpaceError
from ktune.searchers.constraints import make_tpe
from ktune.searchers.discovery import Declare
from ktune.searchers.parameter import MAX_VALUES, Parameter
from ktune.searchers.pruners import make_pruner
from ktune.searchers.requirements import check_installed
from ktune.searchers.search_state import SearchState
from ktune.searchers.study import quiet
from ktune.searchers.trial_store import TrialStore
from ktune.trial import Trial, TrialResult, Value
from ktune.utils.seeds import derive_seed

_ATTEMPTS = 5
"""Number of duplicates that a sampler may propose in a row."""


class OptunaSearcher:
    """Proposes trials with a sampler of Optuna, define-by-run.

    The first trial is always the configuration of all defaults. Every trial is
    proposed by a new sampler whose seed depends only on the search's seed and the
    trial's number, so a resumed search proposes the same trials as an uninterrupted
    one (with one sampler for all trials 14 + 6 trials differed from 20).

    Args:
        declare: Requests all hyperparameters of a trial from an ``hp``.
        trial_store: Records every trial; if it contains trials, the search continues
            after them.
        sampler: One of ``ktune.experiment.choices.SAMPLERS["optuna"]``.
        pruner: One of `ktune.experiment.choices.PRUNERS`.
        seed: Seed of the search.
        epochs: Maximum number of epochs, if known; some pruners need it.
        start_from: Values of the first trials after the one of all defaults.

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
        """Propose a trial; None if the space is exhausted.

        Raises:
            SpaceError: The sampler cannot enumerate the values of a parameter.
        """
        if repeated := self._state.repeat():
            return repeated
        if self.is_exhausted:
            return None
        if planned := self._planned():
            return planned
        if self._sampler == "grid":
            return self._ask_grid()
        return self._ask_sampler() or self._ask_untried()

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Record the objective after an epoch; return whether the trial continues."""
        return self._state.trial_store.report(trial.number, step, value)

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Record the result of a trial."""
        self._state.tell(trial, result)

    def _planned(self) -> Trial | None:
        configuration = self._state.planned_configuration()
        if self._sampler == "grid":
            for assignment in configuration or ():
                _check_enumerable(assignment.parameter)
        return None if configuration is None else self._state.enter(configuration)

    def _ask_sampler(self) -> Trial | None:
        for attempt in range(_ATTEMPTS):
            slot = self._state.trial_store.draw(self._new_sampler(attempt))
            try:
                configuration = self._state.discover(slot.propose)
            except SpaceError:
                self._state.trial_store.drop(slot, "the space is not supported")
                raise
            if configuration not in self._state.explored:
                return self._state.enter(configuration, slot)
            self._state.trial_store.drop(slot, "duplicate")
        return None

    def _ask_untried(self) -> Trial | None:
        configuration = self._state.random_untried_configuration()
        return None if configuration is None else self._state.enter(configuration)

    def _ask_grid(self) -> Trial | None:
        """Return the next untried point of the grid, in the order declared."""
        untried = self._state.untried_configuration(
            lambda values: values[0], _propose_first_value
        )
        return None if untried is None else self._state.enter(untried)

    def _new_sampler(self, attempt: int) -> BaseSampler:
        seed, number = self._state.seed, self._state.next_number
        with quiet():
            return _FACTORIES[self._sampler](
                derive_seed(seed, "sampler", number, attempt),
                derive_seed(seed, "sampler"),
            )


def _check_enumerable(parameter: Parameter) -> None:
    if parameter.values is None:
        raise SpaceError(
            f"parameter {parameter.name!r}: sampler 'grid' needs a finite number of "
            f"values, at most {MAX_VALUES:,}. Give it a step, use hp.Choice, or choose "
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
    # The first generation is random, so with Optuna's population of 50 most searches
    # would be random altogether.
    return optuna.samplers.NSGAIISampler(population_size=20, seed=seed)


def _random(seed: int, fixed_seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _qmc(seed: int, fixed_seed: int) -> BaseSampler:
    # All trials are points of one sequence, so its scrambling must not change.
    return optuna.samplers.QMCSampler(
        scramble=True,
        seed=fixed_seed,
        independent_sampler=RandomSampler(seed=seed),
        warn_independent_sampling=False,
    )


_FACTORIES: Mapping[str, Callable[[int, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "nsga2": _nsga2,
    "random": _random,
    "qmc": _qmc,
}
