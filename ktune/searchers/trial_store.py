"""The record of a search: an Optuna study that both engines write.

A search goes on from it after a crash, and reports read it: importances, plots and
resuming have one source, whichever engine proposed the trials. By default it is a
journal, a file that is only ever appended to (several times faster per trial than
SQLite); any database URL that Optuna understands will do as well.

What ktune adds to Optuna's own record stands in user attributes:

===================== ========================================================
study                 ``ktune.parameter:<key>``: a `Parameter`
trial                 ``ktune.number``: ktune's number of the trial
trial                 ``ktune.values``: name to exact value, in the order asked
trial                 ``ktune.path``: the key of each of these values
trial                 ``ktune.seed``, ``ktune.epochs``, ``ktune.parent``
trial                 ``ktune.note``: what the engine wants to remember of it
trial                 ``ktune.driver``: number of its driver, where there are several
trial, when told      ``ktune.result``: state, score, epochs, seconds …
trial, when not run   ``ktune.dropped``: why
===================== ========================================================

Optuna's trial numbers also count what was dropped (a duplicate, a trial that was
running in a crash and was repeated); ktune's are consecutive.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import isfinite
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState as OptunaState

from ktune.errors import StoreError
from ktune.searchers.configuration import Configuration
from ktune.searchers.constraints import make_tpe
from ktune.searchers.journal import BatchedJournal
from ktune.searchers.optuna_space import decode, distribution_of, encode, stored_name
from ktune.searchers.parameter import (
    Parameter,
    parameter_from_json,
    parameter_to_json,
)
from ktune.searchers.study import journal_problem, open_study, quiet
from ktune.searchers.trial_record import (
    DRIVER,
    DROPPED,
    NUMBER,
    PARAMETER,
    RESULT,
    TrialRecord,
    entry_of,
    record_of,
    record_of_result,
)
from ktune.trial import Trial, TrialResult, TrialState, Value

if TYPE_CHECKING:
    from ktune.metrics.ranking import Goal
    from ktune.searchers.drivers import Drivers


class Slot:
    """A trial of the study that is being written; its values can be sampled."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.optuna_trial = trial

    def propose(self, key: str, parameter: Parameter) -> Value:
        """Have Optuna sample a value."""
        distribution = distribution_of(parameter)
        if distribution is None:
            return parameter.value_at(0)
        with quiet():
            return decode(parameter, self._suggest(key, parameter, distribution))

    def _suggest(self, key: str, parameter: Parameter, distribution: Any) -> Any:
        name, trial = stored_name(key, parameter), self.optuna_trial
        if isinstance(distribution, CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        # Optuna refuses a step together with log, even the 1 it fills in itself.
        scale = {"log": True} if distribution.log else {"step": distribution.step}
        is_int = isinstance(distribution, IntDistribution)
        suggest: Any = trial.suggest_int if is_int else trial.suggest_float
        return suggest(name, distribution.low, distribution.high, **scale)


class TrialStore:
    """The study of one search, written by its driver, or by several in turn.

    Args:
        study: An Optuna study; `open_trial_store` makes or finds it.
        drivers: This driver among the others; None: there is one only.
        journal: The file the study is kept in; None: it is somewhere else.

    Attributes:
        lost: Trials to repeat, since they were running in a crash.
    """

    def __init__(
        self,
        study: optuna.Study,
        drivers: "Drivers | None" = None,
        journal: BatchedJournal | None = None,
    ) -> None:
        self.study = study
        self._journal = journal
        self.lost: list[TrialRecord] = []
        self._drivers = drivers
        self._slots: dict[int, Slot] = {}  # trial number to what is being evaluated
        self._keys: dict[Parameter, str] = {}
        self._read_keys()

    @property
    def is_shared(self) -> bool:
        """Whether others write in it too."""
        return self._drivers is not None

    def parameters(self) -> dict[str, Parameter]:
        """Return every parameter that was ever asked for, by key."""
        return {
            name.removeprefix(PARAMETER): parameter_from_json(stored)
            for name, stored in self.study.user_attrs.items()
            if name.startswith(PARAMETER)
        }

    def key_of(self, parameter: Parameter) -> str:
        """Return the parameter's key: its name, unless that means several things.

        The same name may be declared differently under different conditions. To
        Optuna, and to KerasTuner's oracles, these are different parameters.
        """
        if parameter not in self._keys:
            key = _free_key(parameter, set(self._keys.values()))
            self.study.set_user_attr(PARAMETER + key, parameter_to_json(parameter))
            self._keys[parameter] = key
        return self._keys[parameter]

    def entries(self) -> list[TrialRecord]:
        """Return all trials by number; of a repeated one, how it ended at last."""
        parameters = self.parameters()
        with quiet():
            trials = self.study.get_trials(deepcopy=False)
        found: dict[int, TrialRecord] = {}
        for optuna_trial in trials:
            if NUMBER in optuna_trial.user_attrs:
                entry = entry_of(optuna_trial, parameters)
                first = found.setdefault(entry.trial.number, entry)
                found[entry.trial.number] = replace(entry, started=first.started)
        return [found[number] for number in sorted(found)]

    def importances(self) -> dict[str, float]:
        """Return how much each value mattered, most first; {} for too few trials.

        Of parameters that were asked for in every complete trial, by PED-ANOVA:
        shares that sum to 1.
        """
        complete = [e for e in self.entries() if e.state is TrialState.COMPLETE]
        if len(complete) < 2:
            return {}
        with quiet():
            found = optuna.importance.get_param_importances(
                self.study, target=self._target()
            )
        names = {stored_name(k, p): p.name for k, p in self.parameters().items()}
        return {names[stored]: float(share) for stored, share in found.items()}

    def _target(self) -> "Callable[[optuna.trial.FrozenTrial], float] | None":
        """Return what reads the leading one of several objectives."""
        if len(self.study.directions) == 1:
            return None
        return lambda trial: trial.values[0]

    def draw(self, sampler: optuna.samplers.BaseSampler) -> Slot:
        """Begin a trial whose values the sampler proposes."""
        self.study.sampler = sampler
        with quiet():
            return self._begin()

    def drop(self, slot: Slot, reason: str) -> None:
        """Give up a trial that has been begun, before it counts."""
        with quiet(), self._together():
            slot.optuna_trial.set_user_attr(DROPPED, reason)
            self.study.tell(slot.optuna_trial, state=OptunaState.FAIL)

    def enter(
        self,
        trial: Trial,
        path: Configuration,
        slot: Slot | None = None,
        *,
        note: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down a trial that is going to be evaluated.

        Args:
            trial: The trial.
            path: What its builder asked for.
            slot: Where its values were sampled; None: they come from elsewhere.
            note: What the engine wants to remember of it, as JSON can hold it.
        """
        driver = self._drivers.number if self._drivers else None
        record = record_of(trial, path, note or {}, driver)
        with quiet():
            slot = slot or self._write(path)
            with self._together():
                for name, value in record.items():
                    slot.optuna_trial.set_user_attr(name, value)
        self._slots[trial.number] = slot

    def report(self, number: int, step: int, value: float) -> bool:
        """Note an intermediate value; answer whether the pruner lets the trial go on.

        A value that is not finite is not compared: whether it ends a trial is for
        the evaluation to say. Of several objectives none is followed.
        """
        trial = self._slot(number).optuna_trial
        if not isfinite(value) or len(self.study.directions) > 1:
            return True  # Optuna prunes by one objective only
        with quiet():
            trial.report(float(value), step)
            return not trial.should_prune()

    def tell(self, number: int, result: TrialResult) -> None:
        """Write down how a trial ended."""
        trial = self._slot(number).optuna_trial
        record = record_of_result(result)
        with quiet(), self._together():
            # First all of it in one attribute: `recover` can finish what a crash
            # leaves undone after this line.
            trial.set_user_attr(RESULT, record)
            self._finish(trial.number, record)
        del self._slots[number]

    def recover(
        self, find_result: Callable[[int], TrialResult | None] | None = None
    ) -> list[TrialRecord]:
        """Clear away what a crash left, and return the trials to repeat (`lost`).

        A trial that had been told is finished. One that was running is closed as
        failed in the study, to be entered again under its number. Where there are
        several drivers, only trials of those that are gone are touched.

        Args:
            find_result: Returns the result of a trial by its number if it is known
                elsewhere; such a trial is finished too.
        """
        with quiet():
            self._take_up_waiting_trials()
            self._read_keys()
            running = (OptunaState.RUNNING,)
            for trial in self.study.get_trials(deepcopy=False, states=running):
                if self._is_cared_for(trial):
                    continue
                record = trial.user_attrs.get(RESULT) or {}
                if not record and find_result and NUMBER in trial.user_attrs:
                    record = self._take_over(trial, find_result)
                self._finish(trial.number, record)
        unfinished = [entry for entry in self.entries() if entry.state is None]
        self.lost = [entry for entry in unfinished if not entry.is_running]
        return self.lost

    def _is_cared_for(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether the driver of a running trial is there."""
        if self._drivers is None:
            return False
        # Without a driver it is what one left that died while it asked.
        return trial.user_attrs.get(DRIVER) in self._drivers.present

    def _read_keys(self) -> None:
        found = self.parameters().items()
        self._keys = {parameter: key for key, parameter in found}

    def _take_over(
        self,
        trial: optuna.trial.FrozenTrial,
        find_result: Callable[[int], TrialResult | None],
    ) -> Mapping[str, Any]:
        """Write down the result of a trial that is known, but was never told."""
        result = find_result(trial.user_attrs[NUMBER])
        if result is None:
            return {}
        record = record_of_result(result)
        # Private, but the only way to write to a trial of another process.
        optuna.Trial(self.study, trial._trial_id).set_user_attr(RESULT, record)
        return record

    def _write(self, path: Configuration) -> Slot:
        """Make a trial of known values by way of Optuna's queue."""
        # A model-based sampler would sample in vain, and take its time.
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        fixed = {
            stored_name(step.key, step.parameter): encode(step.parameter, step.value)
            for step in path
            if distribution_of(step.parameter) is not None
        }
        self.study.enqueue_trial(fixed)
        slot = self._begin()
        for step in path:
            slot.propose(step.key, step.parameter)
        return slot

    def _begin(self) -> Slot:
        """Ask for a trial; what is said of it waits until it has been entered."""
        if self._journal is not None:
            self._journal.release()
        slot = Slot(self.study.ask())
        if self._journal is not None:
            self._journal.keep_back()
        return slot

    def _together(self) -> AbstractContextManager[None]:
        """Write what a block says of a trial in one go."""
        return nullcontext() if self._journal is None else self._journal.together()

    def _finish(self, optuna_number: int, record: Mapping[str, Any]) -> None:
        self.study.sampler = make_tpe(seed=0)  # notes violations
        state = record.get("state")
        if state == TrialState.COMPLETE:
            self.study.tell(optuna_number, record.get("scores") or record["score"])
        elif record.get("violation"):
            # Closed as pruned: of a failed trial no sampler learns anything.
            self.study.tell(optuna_number, state=OptunaState.PRUNED)
        elif state == TrialState.PRUNED:
            self.study.tell(optuna_number, state=OptunaState.PRUNED)
        else:
            self.study.tell(optuna_number, state=OptunaState.FAIL)

    def _take_up_waiting_trials(self) -> None:
        """Ask for what was queued when the process died; only then it can be told."""
        waiting = self.study.get_trials(deepcopy=False, states=(OptunaState.WAITING,))
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        for _ in waiting:
            self.study.ask()

    def _slot(self, number: int) -> Slot:
        if number not in self._slots:
            raise LookupError(
                f"trial {number} is not being evaluated: it was never asked for, or "
                "has been told already"
            )
        return self._slots[number]


def open_trial_store(
    place: str | FilePath, name: str, *, goal: "Goal | None" = None
) -> TrialStore:
    """Open the ledger of a search.

    Args:
        place: A file, or the URL of a database (``postgresql://…``).
        name: Name of the study.
        goal: Makes the ledger if there is none. None: it must be there, and is only
            read.

    Raises:
        StoreError: It is not there, is damaged, or is of a search with the opposite
            direction.
        OSError: The file cannot be read or written.
    """
    try:
        study, journal = open_study(place, name, goal)
        return TrialStore(study, journal=journal)
    except (StoreError, OSError):
        raise
    except Exception as error:
        raise StoreError(_unopened(place, error)) from error


def _unopened(place: str | FilePath, error: Exception) -> str:
    """Say why a study cannot be opened, and what can be done without it."""
    if "://" in str(place):
        return f"the study at {place} cannot be opened: {error}"
    told = journal_problem(FilePath(place)) or f"it is not of this search ({error})"
    return (
        f"the study {place} cannot be opened: {told}. Nothing was changed in it. "
        "Restore it from a copy. Its trials stand in MLflow all the same; a new search "
        f"can begin with the best of them: --warm-start {FilePath(place).stem}"
    )


def _free_key(parameter: Parameter, taken: set[str]) -> str:
    if parameter.name not in taken:
        return parameter.name
    conditions = ", ".join(
        f"{name}={'|'.join(map(str, values))}" for name, values in parameter.conditions
    )
    key = f"{parameter.name} [{conditions}]" if conditions else parameter.name
    count = 2
    while key in taken:
        key = f"{parameter.name} [{count}]"
        count += 1
    return key
