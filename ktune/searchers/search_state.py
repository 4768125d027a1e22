"""State of a search: tried configurations and planned ones, kept in the trial store."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ktune.searchers.configuration import Assignment, Configuration, values_of
from ktune.searchers.discovery import (
    Declare,
    Propose,
    discover,
    propose_known,
    propose_values,
)
from ktune.searchers.explored_space import ExploredSpace, Pick
from ktune.searchers.parameter import Parameter
from ktune.searchers.trial_record import TrialRecord
from ktune.searchers.trial_store import Slot, TrialStore
from ktune.trial import Trial, TrialResult, Value
from ktune.utils.seeds import derive_seed

_RANDOM_TRIES = 20

_ENDED_PROCESS = "ended_process"
"""Note on a trial whose builder ended the process while it requested values."""


class SearchState:
    """State of a searcher that is independent of its engine.

    If the trial store contains trials, the search continues after them.

    Args:
        declare: Requests all hyperparameters of a trial from an ``hp``.
        trial_store: Records every trial.
        seed: Seed of the search.
        start_from: Values of the first trials after the one of all defaults; missing
            values keep their defaults.
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
        self._start_values: list[Mapping[str, Value]] = [{}, *start_from]
        self._planned: Configuration | None = None
        trial_store.recover()
        self.past: Sequence[TrialRecord] = trial_store.records()
        self.next_number = 0
        self.n_running = 0
        self._stop_at: set[Configuration] = set()
        self._add_records(self.past)

    @property
    def is_exhausted(self) -> bool:
        """Whether all configurations were tried, and no trial is to be repeated."""
        return self.explored.is_exhausted and not self.trial_store.lost

    def repeat(self) -> Trial | None:
        """Return the next trial that was interrupted by a crash, if any."""
        if self.trial_store.is_shared:
            self._add_records(self.trial_store.records())
        if not self.trial_store.lost:
            return self._end_discovery()
        record = self.trial_store.lost.pop(0)
        self.trial_store.enter(record.trial, record.configuration, note=record.note)
        self.n_running += 1
        has_ended = self._has_ended_process(record.trial.number)
        return replace(record.trial, has_ended_process=has_ended)

    def _end_discovery(self) -> Trial | None:
        """Return the trial whose builder ended the process too often, if any.

        It has the values that the builder had requested.
        """
        if not self._has_ended_process(self.next_number):
            return None
        assert self.trial_store.attempts is not None
        ended = self.trial_store.attempts.ended_at(self.next_number)
        assert ended is not None
        parameters = self.trial_store.parameters()
        configuration = tuple(
            Assignment(key, parameters[key], value)
            for key, value in ended.values.items()
        )
        self._stop_at.add(configuration)
        trial = self.enter(configuration, note={_ENDED_PROCESS: True})
        return replace(trial, has_ended_process=True)

    def _has_ended_process(self, number: int) -> bool:
        attempts = self.trial_store.attempts
        return attempts is not None and attempts.has_ended_too_often(number)

    def _add_records(self, records: Sequence[TrialRecord]) -> None:
        """Add the trials of the store."""
        for record in records:
            self.explored.add(record.configuration)
            self.next_number = max(self.next_number, record.trial.number + 1)
            if record.note.get(_ENDED_PROCESS):
                self._stop_at.add(record.configuration)

    def discover(self, propose: Propose) -> Configuration:
        """Run the builder, and return its configuration."""
        return discover(
            self._declare,
            propose,
            self.trial_store.key_of,
            notify=self._note_attempt,
            stop_at=self._stop_at,
        )

    def _note_attempt(self, configuration: Configuration) -> None:
        if self.trial_store.attempts is not None:
            self.trial_store.attempts.note(self.next_number, configuration)

    def planned_configuration(self) -> Configuration | None:
        """Return the next configuration to start from; None if there are no more.

        Raises:
            SpaceError: A value to start from is outside the space.
        """
        while self._start_values:
            configuration = self.discover(propose_values(self._start_values[0]))
            if configuration not in self.explored:
                self._planned = configuration
                return configuration
            self._start_values.pop(0)
        return None

    def untried_configuration(
        self, pick: Pick, fallback: Propose
    ) -> Configuration | None:
        """Return an untried configuration; None if the space is exhausted.

        Args:
            pick: Chooses among the values whose subtrees are not exhausted.
            fallback: Proposes values of parameters that were not reached before.
        """
        prefix = self.explored.unexplored(pick)
        if prefix is None:
            return None
        return self.discover(propose_known(prefix, fallback))

    def random_untried_configuration(self) -> Configuration | None:
        """Return a random untried configuration, if there is one."""
        generator = random.Random(derive_seed(self.seed, "left", self.next_number))

        def draw(key: str, parameter: Parameter) -> Value:
            return parameter.draw(generator)

        for _ in range(_RANDOM_TRIES):
            configuration = self.untried_configuration(generator.choice, draw)
            if configuration is None or configuration not in self.explored:
                return configuration
        return None

    def enter(
        self,
        configuration: Configuration,
        slot: Slot | None = None,
        *,
        epochs: int | None = None,
        parent: int | None = None,
        note: Mapping[str, Any] | None = None,
    ) -> Trial:
        """Create the trial of a configuration, and record it as running."""
        trial = Trial(
            number=self.next_number,
            values=values_of(configuration),
            seed=derive_seed(self.seed, self.next_number),
            epochs=epochs,
            parent=parent,
        )
        self.trial_store.enter(trial, configuration, slot, note=note)
        if configuration is self._planned:
            self._start_values.pop(0)
            self._planned = None
        self.explored.add(configuration)
        self.next_number += 1
        self.n_running += 1
        return trial

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Record the result of a trial."""
        self.trial_store.tell(trial.number, result)
        self.n_running -= 1
