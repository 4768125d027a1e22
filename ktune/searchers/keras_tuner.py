"""A `Searcher` that uses the oracles of KerasTuner."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite

from ktune.experiment.fit_settings import FitSettings
from ktune.searchers.configuration import Configuration
from ktune.searchers.discovery import Declare, Propose
from ktune.searchers.oracle import Oracle, Proposal
from ktune.searchers.parameter import Parameter
from ktune.searchers.pruners import make_pruner
from ktune.searchers.search_state import SearchState
from ktune.searchers.trial_record import TrialRecord
from ktune.searchers.trial_store import TrialStore
from ktune.trial import Trial, TrialResult, TrialState, Value
from ktune.utils.seeds import derive_seed


class KerasTunerSearcher:
    """Proposes trials with an oracle of KerasTuner, define-by-run.

    The oracle exists in memory only. Every trial is written to the same trial store as
    with the Optuna engine. If the store contains trials, they are replayed to a new
    oracle in their order, which then continues as the first one would have.

    The first trial is always the configuration of all defaults. A parameter that a
    builder requests for the first time gets a random value, and belongs to the space
    from then on. A duplicate is replaced at random, or by the next point of a grid.

    Hyperband's budget is `Trial.epochs`, and the trial it promotes is `Trial.parent`;
    its sweeps are repeated until the search ends. A promoted trial is trained from
    scratch up to its larger budget instead of from the weights of its parent. Its
    folds therefore depend on seed, number and values alone, are the same on any
    worker, after a crash and when reproduced, and no weights have to be stored. A
    trial that is promoted to the top costs 1.4 times the epochs (1 + 3 + 9 instead of
    1 + 2 + 6).

    Args:
        declare: Requests all hyperparameters of a trial from an ``hp``.
        trial_store: Records every trial.
        sampler: One of ``ktune.experiment.choices.SAMPLERS["kerastuner"]``.
        pruner: One of `choices.PRUNERS`; ignored for Hyperband, which prunes itself.
        seed: Seed of the search.
        epochs: Maximum number of epochs.
        start_from: Values of the first trials after the one of all defaults.
    """

    def __init__(
        self,
        declare: Declare,
        *,
        trial_store: TrialStore,
        sampler: str = "bayesian",
        pruner: str = "median",
        seed: int = 0,
        epochs: int | None = None,
        start_from: Sequence[Mapping[str, Value]] = (),
    ) -> None:
        direction = (
            "max" if trial_store.study.directions[0].name == "MAXIMIZE" else "min"
        )
        self._oracle = Oracle(
            sampler, direction, seed=seed, epochs=epochs or FitSettings.epochs
        )
        is_hyperband = self._oracle.is_hyperband
        trial_store.study.pruner = make_pruner(
            "none" if is_hyperband else pruner, epochs
        )
        self._state = SearchState(declare, trial_store, seed, start_from)
        # Trial number to index of the oracle's trial, and back with the configuration.
        self._oracle_indices: dict[int, int] = {}
        self._configurations: dict[int, tuple[int, Configuration]] = {}
        self._discarded: set[int] = set()  # indices of trials not to promote
        self._is_finished = False
        self._replay()

    @property
    def is_exhausted(self) -> bool:
        """Whether the oracle has stopped, or a finite space has been tried."""
        if self._oracle.is_hyperband and self._oracle.has_space:
            # Hyperband promotes configurations that have been tried.
            return self._is_finished
        return self._oracle.is_stopped or self._state.is_exhausted

    def ask(self) -> Trial | None:
        """Propose a trial; None if there is none now, or none at all (`is_exhausted`).

        Raises:
            SpaceError: A parameter is not supported.
            SearchAborted: The oracle raised an exception.
        """
        if repeated := self._state.repeat():
            return repeated
        if self.is_exhausted:
            return None
        planned = self._state.planned_configuration()
        if planned is None:
            return self._ask_oracle()
        self._oracle.register(planned)
        has_own_order = self._oracle.is_grid and self._state.next_number > 0
        if has_own_order or not self._oracle.has_space:
            return self._state.enter(planned)
        return self._ask_oracle(planned)

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Record the objective after an epoch; return whether the trial continues."""
        return self._state.trial_store.report(trial.number, step, value)

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Record the result of a trial."""
        self._state.tell(trial, result)
        self._finish(trial.number, result.state, result.score)

    def _ask_oracle(self, planned: Configuration | None = None) -> Trial | None:
        """Ask the oracle; replace a proposal without parent by the planned values."""
        for _ in range(self._oracle.max_rejections):
            proposal = self._oracle.propose()
            if proposal is None:
                return None
            is_planned = planned is not None and proposal.parent is None
            configuration = planned if is_planned else self._configuration_of(proposal)
            if configuration is not None:
                return self._enter(proposal, configuration)
            self._discard(proposal)
        self._is_finished = self._state.n_running == 0
        return None

    def _configuration_of(self, proposal: Proposal) -> Configuration | None:
        """Return the configuration of a proposal; None for a duplicate or a failure."""
        if proposal.parent is not None:
            is_hopeless = proposal.parent in self._discarded
            return None if is_hopeless else self._configurations[proposal.parent][1]
        if self._state.explored.is_exhausted:
            return None
        configuration = self._state.discover(self._decoder(proposal))
        if configuration not in self._state.explored:
            return configuration
        return (
            None if self._oracle.is_grid else self._state.random_untried_configuration()
        )

    def _decoder(self, proposal: Proposal) -> Propose:
        seed, number = self._state.seed, self._state.next_number

        def propose(key: str, parameter: Parameter) -> Value:
            if key in proposal.values:
                return self._oracle.decode(key, proposal.values[key])
            if self._oracle.is_grid:
                return parameter.default
            return parameter.draw(random.Random(derive_seed(seed, "late", number, key)))

        return propose

    def _enter(self, proposal: Proposal, configuration: Configuration) -> Trial:
        index, parent = proposal.index, proposal.parent
        self._oracle.set_values(index, configuration)
        trial = self._state.enter(
            configuration,
            epochs=proposal.epochs,
            parent=None if parent is None else self._configurations[parent][0],
            note={self._oracle.name: index},
        )
        self._link(trial.number, index, configuration)
        return trial

    def _link(self, number: int, index: int, configuration: Configuration) -> None:
        self._oracle_indices[number] = index
        self._configurations[index] = (number, configuration)

    def _discard(self, proposal: Proposal) -> None:
        self._discarded.add(proposal.index)
        self._oracle.finish(proposal.index, None)

    def _finish(self, number: int, state: TrialState, score: float | None) -> None:
        if number not in self._oracle_indices:
            return
        is_lost = state is TrialState.FAILED or score is None or not isfinite(score)
        if is_lost:
            self._discarded.add(self._oracle_indices[number])
        self._oracle.finish(self._oracle_indices[number], None if is_lost else score)

    def _replay(self) -> None:
        """Replay the trials of the store to the oracle in their order."""
        finished = [r for r in self._state.past if r.state and r.finished]
        finished.sort(key=lambda record: record.finished or datetime.max, reverse=True)
        for record in self._state.past:
            while finished and _ended_before(finished[-1], record):
                self._replay_result(finished.pop())
            self._replay_proposal(record)
        while finished:
            self._replay_result(finished.pop())

    def _replay_result(self, record: TrialRecord) -> None:
        assert record.state is not None
        self._finish(record.trial.number, record.state, record.score)

    def _replay_proposal(self, record: TrialRecord) -> None:
        index = record.note.get(self._oracle.name)
        if index is None or record.trial.number == 0:
            self._oracle.register(record.configuration)
        if index is None:
            # A trial of another engine, or of a space without parameters.
            return
        while len(self._oracle) < index and (proposal := self._oracle.propose()):
            self._discard(proposal)
        # Every proposal changes the internal plan of grid and Hyperband. Proposals of
        # other oracles depend on past trials only, and may take seconds to compute.
        has_plan = self._oracle.is_grid or self._oracle.is_hyperband
        if not has_plan or self._oracle.propose() is None:
            index = self._oracle.insert(record.configuration)
        self._oracle.set_values(index, record.configuration)
        self._link(record.trial.number, index, record.configuration)


def _ended_before(one: TrialRecord, other: TrialRecord) -> bool:
    assert one.finished is not None
    return other.started is not None and one.finished <= other.started
