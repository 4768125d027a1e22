"""Where a search stands: what was tried, what comes next; kept in the ledger."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from ktune.searchers.configuration import Configuration, values_of
from ktune.searchers.discovery import (
    Declare,
    Propose,
    discover,
    propose_first,
    propose_given,
)
from ktune.searchers.explored_space import ExploredSpace, Pick
from ktune.searchers.parameter import Parameter
from ktune.searchers.trial_record import TrialRecord
from ktune.searchers.trial_store import Slot, TrialStore
from ktune.trial import Trial, TrialResult, Value
from ktune.utils.seeds import derive_seed

_RANDOM_TRIES = 20


class SearchState:
    """The part of a searcher that does not depend on its engine.

    Made on a ledger that holds trials already, it goes on after them.

    Args:
        declare: Asks an ``hp`` for everything a trial needs.
        trial_store: Takes down every trial.
        seed: The search's seed.
        start_from: Values of trials to begin with, after that of all defaults; what
            they do not say keeps its default.
    """

    def __init__(
        self,
        declare: Declare,
        trial_store: TrialStore,
        seed: int,
        start_from: Sequence[Mapping[str, Value]] = (),
    ) -> None:
        self.trial_store = trial_store
        self.seed = seed
        self.explored = ExploredSpace()
        self._declare = declare
        self._to_start_from: list[Mapping[str, Value]] = [{}, *start_from]
        self._planned: Configuration | None = None
        trial_store.recover()
        self.past: Sequence[TrialRecord] = trial_store.entries()
        self.next_number = 0
        self.n_running = 0
        self._take_in(self.past)

    @property
    def is_exhausted(self) -> bool:
        """Whether everything has been tried, and nothing is to be repeated."""
        return self.explored.is_exhausted and not self.trial_store.lost

    def repeat(self) -> Trial | None:
        """Return the next trial that was running in a crash, if any is left."""
        if self.trial_store.is_shared:
            self._take_in(self.trial_store.entries())
        if not self.trial_store.lost:
            return None
        entry = self.trial_store.lost.pop(0)
        self.trial_store.enter(entry.trial, entry.path, note=entry.note)
        self.n_running += 1
        return entry.trial

    def _take_in(self, entries: Sequence[TrialRecord]) -> None:
        """Take note of trials that are in the ledger."""
        for entry in entries:
            self.explored.add(entry.path)
            self.next_number = max(self.next_number, entry.trial.number + 1)

    def discover(self, propose: Propose) -> Configuration:
        """Run the builder; return what it asked for and got."""
        return discover(self._declare, propose, self.trial_store.key_of)

    def planned_path(self) -> Configuration | None:
        """Return the next configuration to begin with; None: the plan is done.

        Raises:
            SpaceError: A value to begin with is not possible.
        """
        while self._to_start_from:
            path = self.discover(propose_given(self._to_start_from[0]))
            if path not in self.explored:
                self._planned = path
                return path
            self._to_start_from.pop(0)
        return None

    def path_left(self, pick: Pick, then: Propose) -> Configuration | None:
        """Return a configuration that has not been tried; None: there is none.

        Args:
            pick: Chooses among the values below which something is left.
            then: Answers what is new territory.
        """
        answers = self.explored.unexplored(pick)
        return None if answers is None else self.discover(propose_first(answers, then))

    def random_path_left(self) -> Configuration | None:
        """Return a random configuration that has not been tried, if there is one."""
        generator = random.Random(derive_seed(self.seed, "left", self.next_number))

        def draw(key: str, parameter: Parameter) -> Value:
            return parameter.draw(generator)

        for _ in range(_RANDOM_TRIES):
            path = self.path_left(generator.choice, draw)
            if path is None or path not in self.explored:
                return path
        return None

    def enter(
        self,
        path: Configuration,
        slot: Slot | None = None,
        *,
        epochs: int | None = None,
        parent: int | None = None,
        note: Mapping[str, Any] | None = None,
    ) -> Trial:
        """Make a trial of a configuration, and take it down as running."""
        trial = Trial(
            number=self.next_number,
            values=values_of(path),
            seed=derive_seed(self.seed, self.next_number),
            epochs=epochs,
            parent=parent,
        )
        self.trial_store.enter(trial, path, slot, note=note)
        if path is self._planned:
            self._to_start_from.pop(0)
            self._planned = None
        self.explored.add(path)
        self.next_number += 1
        self.n_running += 1
        return trial

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Take down the result of a trial."""
        self.trial_store.tell(trial.number, result)
        self.n_running -= 1
