"""KerasTuner proposes: its oracles behind ktune's `Searcher` door."""

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
    """Proposes trials by one of KerasTuner's oracles, define-by-run.

    The oracle lives in memory only. Every trial is written to the same ledger that
    the Optuna engine writes; on a ledger that holds trials already, a new oracle is
    told them in their order, and goes on as the first would have.

    The first trial is always the configuration of all defaults. A parameter that
    some builder asks for late gets a random value then, and is searched from there
    on. What has been tried is replaced: at random, or by the next of a grid.

    Hyperband's budget is in `Trial.epochs`, and the trial it promotes in
    `Trial.parent`; its sweeps are repeated until the search ends. A promoted trial is
    trained anew up to its larger budget instead of going on from the weights of its
    parent: so its folds depend on seed, number and values alone, come out the same on
    any worker, after a crash and when reproduced, and no weights have to be kept. A
    trial that is promoted to the top costs 1.4 times the epochs for it (1 + 3 + 9
    instead of 1 + 2 + 6).

    Args:
        declare: Asks an ``hp`` for everything a trial needs.
        trial_store: Takes down every trial.
        sampler: One of ``ktune.experiment.choices.SAMPLERS["kerastuner"]``.
        pruner: One of `choices.PRUNERS`; Hyperband is one itself, so it
            goes without.
        seed: The search's seed.
        epochs: The most epochs a trial takes.
        start_from: Values of trials to begin with, after that of all defaults.
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
        self._runs: dict[int, int] = {}  # trial number to index of the oracle's trial
        self._made: dict[
            int, tuple[int, Configuration]
        ] = {}  # index to trial number and path
        self._hopeless: set[int] = set()  # indices of trials not to go on with
        self._is_spent = False
        self._replay()

    @property
    def is_exhausted(self) -> bool:
        """Whether the oracle has stopped, or a finite space has been tried."""
        if self._oracle.is_hyperband and self._oracle.has_space:
            # It goes on with what has been tried.
            return self._is_spent
        return self._oracle.is_stopped or self._state.is_exhausted

    def ask(self) -> Trial | None:
        """Propose a trial; None: nothing now, or nothing ever (`is_exhausted`).

        Raises:
            SpaceError: A parameter cannot be honoured.
            SearchAborted: The oracle raised an exception.
        """
        if repeated := self._state.repeat():
            return repeated
        if self.is_exhausted:
            return None
        planned = self._state.planned_path()
        if planned is None:
            return self._ask_oracle()
        self._oracle.register(planned)
        has_own_order = self._oracle.is_grid and self._state.next_number > 0
        if has_own_order or not self._oracle.has_space:
            return self._state.enter(planned)
        return self._ask_oracle(planned)

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Take the objective after an epoch; answer whether the trial may go on."""
        return self._state.trial_store.report(trial.number, step, value)

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Take the result of a trial asked before."""
        self._state.tell(trial, result)
        self._finish(trial.number, result.state, result.score)

    def _ask_oracle(self, planned: Configuration | None = None) -> Trial | None:
        """Have the oracle propose, and put in what is planned where it starts anew."""
        for _ in range(self._oracle.patience):
            proposal = self._oracle.propose()
            if proposal is None:
                return None
            is_planned = planned is not None and proposal.parent is None
            path = planned if is_planned else self._path_of(proposal)
            if path is not None:
                return self._enter(proposal, path)
            self._drop(proposal)
        self._is_spent = self._state.n_running == 0
        return None

    def _path_of(self, proposal: Proposal) -> Configuration | None:
        """Return what a proposal leads to; None: nothing new, or nothing good."""
        if proposal.parent is not None:
            is_hopeless = proposal.parent in self._hopeless
            return None if is_hopeless else self._made[proposal.parent][1]
        if self._state.explored.is_exhausted:
            return None
        path = self._state.discover(self._decoder(proposal))
        if path not in self._state.explored:
            return path
        return None if self._oracle.is_grid else self._state.random_path_left()

    def _decoder(self, proposal: Proposal) -> Propose:
        seed, number = self._state.seed, self._state.next_number

        def propose(key: str, parameter: Parameter) -> Value:
            if key in proposal.values:
                return self._oracle.decode(key, proposal.values[key])
            if self._oracle.is_grid:
                return parameter.default
            return parameter.draw(random.Random(derive_seed(seed, "late", number, key)))

        return propose

    def _enter(self, proposal: Proposal, path: Configuration) -> Trial:
        index, parent = proposal.index, proposal.parent
        self._oracle.settle(index, path)
        trial = self._state.enter(
            path,
            epochs=proposal.epochs,
            parent=None if parent is None else self._made[parent][0],
            note={self._oracle.name: index},
        )
        self._note(trial.number, index, path)
        return trial

    def _note(self, number: int, index: int, path: Configuration) -> None:
        self._runs[number] = index
        self._made[index] = (number, path)

    def _drop(self, proposal: Proposal) -> None:
        self._hopeless.add(proposal.index)
        self._oracle.finish(proposal.index, None)

    def _finish(self, number: int, state: TrialState, score: float | None) -> None:
        if number not in self._runs:
            return
        is_lost = state is TrialState.FAILED or score is None or not isfinite(score)
        if is_lost:
            self._hopeless.add(self._runs[number])
        self._oracle.finish(self._runs[number], None if is_lost else score)

    def _replay(self) -> None:
        """Bring the oracle to where it was after the trials of the ledger."""
        told = [e for e in self._state.past if e.state and e.finished]
        told.sort(key=lambda entry: entry.finished or datetime.max, reverse=True)
        for entry in self._state.past:
            while told and _ended_before(told[-1], entry):
                self._tell_again(told.pop())
            self._ask_again(entry)
        while told:
            self._tell_again(told.pop())

    def _tell_again(self, entry: TrialRecord) -> None:
        assert entry.state is not None
        self._finish(entry.trial.number, entry.state, entry.score)

    def _ask_again(self, entry: TrialRecord) -> None:
        index = entry.note.get(self._oracle.name)
        if index is None or entry.trial.number == 0:
            self._oracle.register(entry.path)
        if index is None:
            # Another engine's, or of a space without parameters.
            return
        while len(self._oracle) < index and (proposal := self._oracle.propose()):
            self._drop(proposal)
        # Grid and Hyperband keep a plan of their own, which every proposal changes.
        # The others' is a matter of the trials before it, and can take seconds.
        has_plan = self._oracle.is_grid or self._oracle.is_hyperband
        if not has_plan or self._oracle.propose() is None:
            index = self._oracle.insert(entry.path)
        self._oracle.settle(index, entry.path)
        self._note(entry.trial.number, index, entry.path)


def _ended_before(one: TrialRecord, other: TrialRecord) -> bool:
    assert one.finished is not None
    return other.started is not None and one.finished <= other.started
