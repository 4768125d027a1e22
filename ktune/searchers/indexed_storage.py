"""An index of a journal's trials by state."""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState


@dataclass
class _FinishedTrials:
    """The leading trials of a study that are all finished, and never change.

    Attributes:
        trials: The trials by number.
        by_state: The same trials by state.
    """

    trials: list[FrozenTrial] = field(default_factory=list)
    by_state: dict[TrialState, list[FrozenTrial]] = field(default_factory=dict)

    def add(self, trial: FrozenTrial) -> None:
        self.trials.append(trial)
        self.by_state.setdefault(trial.state, []).append(trial)

    def find(self, states: Container[TrialState] | None) -> list[FrozenTrial]:
        if states is None:
            return list(self.trials)
        wanted = [trials for state, trials in self.by_state.items() if state in states]
        if len(wanted) < 2:
            return [trial for trials in wanted for trial in trials]
        return [trial for trial in self.trials if trial.state in states]


class IndexedStorage(JournalStorage):
    """Optuna's journal storage with an index, so that it scans unfinished trials only.

    Optuna queries all waiting trials before each trial, and its pruners all complete
    trials after each epoch. With thousands of trials these queries took more time than
    all other operations of the storage.
    """

    def __init__(self, log_storage: BaseJournalBackend) -> None:
        super().__init__(log_storage)
        self._finished: dict[int, _FinishedTrials] = {}

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials of a study by number.

        Raises:
            KeyError: The study does not exist.
        """
        if deepcopy:  # copying outweighs the scan
            return super().get_all_trials(study_id, deepcopy, states)
        settled = self._finished_trials_of(study_id)
        later = list(self._trials_from(study_id, len(settled.trials)))
        found = [t for t in later if states is None or t.state in states]
        found = settled.find(states) + found
        for trial in later:
            if not trial.state.is_finished():
                break
            settled.add(trial)
        return found

    def _finished_trials_of(self, study_id: int) -> _FinishedTrials:
        if study_id not in self._finished:
            self.get_study_name_from_id(study_id)  # raises for an unknown study
            self._finished[study_id] = _FinishedTrials()
        return self._finished[study_id]

    def _trials_from(self, study_id: int, number: int) -> Iterator[FrozenTrial]:
        while True:
            try:
                trial_id = self.get_trial_id_from_study_id_trial_number(
                    study_id, number
                )
            except KeyError:
                return
            yield self.get_trial(trial_id)
            number += 1
