"""Where a search stands: what was tried, what comes next; kept in the ledger."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from ktune.searchers.discovery import (
    Declare,
    Path,
    Propose,
    discover,
    propose_defaults,
    propose_first,
    values_of,
)
from ktune.searchers.explored import Explored, Pick
from ktune.searchers.ledger import Entry, Ledger, Slot
from ktune.searchers.parameter import Parameter
from ktune.seeds import derive_seed
from ktune.trial import Trial, TrialResult, Value

_RANDOM_TRIES = 20


class SearchState:
    """The part of a searcher that does not depend on its engine.

    Made on a ledger that holds trials already, it goes on after them.

    Args:
        declare: Asks an ``hp`` for everything a trial needs.
        ledger: Takes down every trial.
        seed: The search's seed.
    """

    def __init__(self, declare: Declare, ledger: Ledger, seed: int) -> None:
        self.ledger = ledger
        self.seed = seed
        self.explored = Explored()
        self._declare = declare
        self._to_repeat: list[Entry] = ledger.recover()
        self.past: Sequence[Entry] = ledger.entries()
        for entry in self.past:
            self.explored.add(entry.path)
        self.next_number = self.past[-1].trial.number + 1 if self.past else 0
        self.n_running = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether everything has been tried, and nothing is to be repeated."""
        return self.explored.is_exhausted and not self._to_repeat

    def repeat(self) -> Trial | None:
        """Return the next trial that was running in a crash, if any is left."""
        if not self._to_repeat:
            return None
        entry = self._to_repeat.pop(0)
        self.ledger.enter(entry.trial, entry.path, note=entry.note)
        self.n_running += 1
        return entry.trial

    def discover(self, propose: Propose) -> Path:
        """Run the builder; return what it asked for and got."""
        return discover(self._declare, propose, self.ledger.key_of)

    def default_path(self) -> Path:
        """Return the configuration a user gets without a search."""
        return self.discover(propose_defaults)

    def path_left(self, pick: Pick, then: Propose) -> Path | None:
        """Return a configuration that has not been tried; None: there is none.

        Args:
            pick: Chooses among the values below which something is left.
            then: Answers what is new territory.
        """
        answers = self.explored.unexplored(pick)
        return None if answers is None else self.discover(propose_first(answers, then))

    def random_path_left(self) -> Path | None:
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
        path: Path,
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
        self.ledger.enter(trial, path, slot, note=note)
        self.explored.add(path)
        self.next_number += 1
        self.n_running += 1
        return trial

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Take down the result of a trial."""
        self.ledger.tell(trial.number, result)
        self.n_running -= 1
