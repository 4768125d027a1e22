"""A journal's trials, found by their state without looking through all of them."""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState


@dataclass
class _Settled:
    """The first trials of a study, as far as they are all finished.

    Attributes:
        trials: By number; of a finished trial nothing ever changes.
        by_state: The same, apart.
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
    """Optuna's storage of a journal; only unfinished trials are looked through.

    Optuna asks for all waiting trials before each trial, and its pruners for all
    complete ones after each epoch. Of some thousand trials that took more time than
    everything else that is said of a trial.
    """

    def __init__(self, log_storage: BaseJournalBackend) -> None:
        super().__init__(log_storage)
        self._settled: dict[int, _Settled] = {}

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return a study's trials by number.

        Raises:
            KeyError: There is no such study.
        """
        if deepcopy:  # one more look at each is nothing beside a copy
            return super().get_all_trials(study_id, deepcopy, states)
        settled = self._settled_of(study_id)
        later = list(self._trials_from(study_id, len(settled.trials)))
        found = [t for t in later if states is None or t.state in states]
        found = settled.find(states) + found
        for trial in later:
            if not trial.state.is_finished():
                break
            settled.add(trial)
        return found

    def _settled_of(self, study_id: int) -> _Settled:
        if study_id not in self._settled:
            self.get_study_name_from_id(study_id)  # refuses what is not there
            self._settled[study_id] = _Settled()
        return self._settled[study_id]

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
