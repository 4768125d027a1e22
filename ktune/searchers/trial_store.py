"""The trial store of a search: an Optuna study that both engines write.

A search resumes from it after a crash, and reports read it: importances, plots and
resuming have one source, whichever engine proposed the trials. By default it is a
journal, an append-only file (several times faster per trial than SQLite); any database
URL of Optuna works as well.

ktune adds user attributes to Optuna's record:

===================== ========================================================
study                 ``ktune.parameter:<key>``: a `Parameter`
study                 ``ktune.attempt:<driver>``: an `Attempt`, if there are several
trial                 ``ktune.number``: ktune's number of the trial
trial                 ``ktune.values``: exact values by name, in order of requests
trial                 ``ktune.path``: the key of each of these values
trial                 ``ktune.seed``, ``ktune.epochs``, ``ktune.parent``
trial                 ``ktune.note``: data of the engine
trial                 ``ktune.driver``: number of its driver, if there are several
finished trial        ``ktune.result``: state, score, epochs, seconds …
dropped trial         ``ktune.dropped``: the reason
===================== ========================================================

Optuna's trial numbers include dropped trials (a duplicate, or a trial that was
interrupted by a crash and repeated); ktune's are consecutive.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState as OptunaState

from ktune.errors import StoreError
from ktune.searchers.attempts import Attempts
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
    record_of,
    result_attribute,
    trial_attributes,
)
from ktune.trial import Trial, TrialResult, TrialState, Value

if TYPE_CHECKING:
    from ktune.metrics.ranking import Goal
    from ktune.searchers.drivers import Drivers


class Slot:
    """A running trial of the study, whose values can be sampled."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.optuna_trial = trial

    def propose(self, key: str, parameter: Parameter) -> Value:
        """Sample a value with Optuna."""
        distribution = distribution_of(parameter)
        if distribution is None:
            return parameter.value_at(0)
        with quiet():
            return decode(parameter, self._suggest(key, parameter, distribution))

    def _suggest(self, key: str, parameter: Parameter, distribution: Any) -> Any:
        name, trial = stored_name(key, parameter), self.optuna_trial
        if isinstance(distribution, CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        # Optuna refuses a step with log, even its own default of 1.
        scale = {"log": True} if distribution.log else {"step": distribution.step}
        is_int = isinstance(distribution, IntDistribution)
        suggest: Any = trial.suggest_int if is_int else trial.suggest_float
        return suggest(name, distribution.low, distribution.high, **scale)


class TrialStore:
    """The study of one search, written by one driver, or by several under a lock.

    Args:
        study: An Optuna study; `open_trial_store` opens or creates it.
        drivers: This driver and the others; None for a single driver.
        journal: The journal of the study; None if it is in a database.

    Attributes:
        lost: Trials to repeat, as a crash interrupted them.
        attempts: Counts the processes that a trial has ended; None if workers run the
            builder.
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
        self.attempts: Attempts | None = None
        self._drivers = drivers
        self._slots: dict[int, Slot] = {}  # running trials by number
        self._keys: dict[Parameter, str] = {}
        self._read_keys()

    @property
    def is_shared(self) -> bool:
        """Whether other drivers write to it."""
        return self._drivers is not None

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters of all trials by key."""
        return {
            name.removeprefix(PARAMETER): parameter_from_json(stored)
            for name, stored in self.study.user_attrs.items()
            if name.startswith(PARAMETER)
        }

    def key_of(self, parameter: Parameter) -> str:
        """Return the key of a parameter: its name, made unique if necessary.

        The same name may be declared differently under different conditions. For
        Optuna, and for KerasTuner's oracles, these are different parameters.
        """
        if parameter not in self._keys:
            key = _unique_key(parameter, set(self._keys.values()))
            self.study.set_user_attr(PARAMETER + key, parameter_to_json(parameter))
            self._keys[parameter] = key
        return self._keys[parameter]

    def records(self) -> list[TrialRecord]:
        """Return all trials by number; a repeated trial has its last state."""
        parameters = self.parameters()
        with quiet():
            trials = self.study.get_trials(deepcopy=False)
        by_number: dict[int, TrialRecord] = {}
        for optuna_trial in trials:
            if NUMBER in optuna_trial.user_attrs:
                record = record_of(optuna_trial, parameters)
                first = by_number.setdefault(record.trial.number, record)
                by_number[record.trial.number] = replace(record, started=first.started)
        return [by_number[number] for number in sorted(by_number)]

    def importances(self) -> dict[str, float]:
        """Return the importance of each parameter, highest first; {} for few trials.

        PED-ANOVA computes them for the parameters that are active in every complete
        trial; they sum to 1.
        """
        complete = [e for e in self.records() if e.state is TrialState.COMPLETE]
        if len(complete) < 2:
            return {}
        with quiet():
            found = optuna.importance.get_param_importances(
                self.study, target=self._target()
            )
        names = {stored_name(k, p): p.name for k, p in self.parameters().items()}
        return {names[stored]: float(share) for stored, share in found.items()}

    def _target(self) -> "Callable[[optuna.trial.FrozenTrial], float] | None":
        """Return a function that reads the first of several objectives."""
        if len(self.study.directions) == 1:
            return None
        return lambda trial: trial.values[0]

    def draw(self, sampler: optuna.samplers.BaseSampler) -> Slot:
        """Start a trial whose values the sampler proposes."""
        self.study.sampler = sampler
        with quiet():
            return self._ask()

    def drop(self, slot: Slot, reason: str) -> None:
        """Drop a started trial before it counts."""
        with quiet(), self._batch():
            slot.optuna_trial.set_user_attr(DROPPED, reason)
            self.study.tell(slot.optuna_trial, state=OptunaState.FAIL)

    def enter(
        self,
        trial: Trial,
        configuration: Configuration,
        slot: Slot | None = None,
        *,
        note: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a trial before its evaluation.

        Args:
            trial: The trial.
            configuration: Its configuration.
            slot: The slot that sampled its values; None if Optuna did not.
            note: Data of the engine, as JSON content.
        """
        driver = self._drivers.number if self._drivers else None
        record = trial_attributes(trial, configuration, note or {}, driver)
        if self.attempts is not None:
            self.attempts.note(trial.number, configuration)
        with quiet():
            slot = slot or self._enqueue(configuration)
            with self._batch():
                for name, value in record.items():
                    slot.optuna_trial.set_user_attr(name, value)
        self._slots[trial.number] = slot

    def report(self, number: int, step: int, value: float) -> bool:
        """Record an intermediate value; return whether the trial continues.

        A value that is not finite is not compared: the evaluation decides whether it
        ends the trial. With several objectives no trial is pruned.
        """
        trial = self._slot(number).optuna_trial
        if not isfinite(value) or len(self.study.directions) > 1:
            return True  # Optuna prunes by one objective only
        with quiet():
            trial.report(float(value), step)
            return not trial.should_prune()

    def tell(self, number: int, result: TrialResult) -> None:
        """Record the result of a trial."""
        trial = self._slot(number).optuna_trial
        record = result_attribute(result)
        with quiet(), self._batch():
            # First the whole result in one attribute: `recover` can finish the trial
            # if the process dies after this line.
            trial.set_user_attr(RESULT, record)
            self._finish(trial.number, record)
        del self._slots[number]

    def recover(
        self, find_result: Callable[[int], TrialResult | None] | None = None
    ) -> list[TrialRecord]:
        """Recover from a crash, and return the trials to repeat (`lost`).

        A trial with a recorded result is finished. A running trial is marked as
        failed in the study, to be entered again under its number. With several
        drivers, only trials of dead drivers are affected.

        Args:
            find_result: Returns the result of a trial by its number if it was
                recorded elsewhere; such a trial is finished too.
        """
        with quiet():
            self._start_queued_trials()
            self._read_keys()
            running = (OptunaState.RUNNING,)
            for trial in self.study.get_trials(deepcopy=False, states=running):
                if self._has_live_driver(trial):
                    continue
                record = trial.user_attrs.get(RESULT) or {}
                if not record and find_result and NUMBER in trial.user_attrs:
                    record = self._recover_result(trial, find_result)
                self._finish(trial.number, record)
        unfinished = [record for record in self.records() if record.state is None]
        self.lost = [record for record in unfinished if not record.is_running]
        return self.lost

    def _has_live_driver(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether the driver of a running trial is alive."""
        if self._drivers is None:
            return False
        # No driver recorded: the process died between `ask` and `enter`.
        return trial.user_attrs.get(DRIVER) in self._drivers.present

    def _read_keys(self) -> None:
        by_key = self.parameters().items()
        self._keys = {parameter: key for key, parameter in by_key}

    def _recover_result(
        self,
        trial: optuna.trial.FrozenTrial,
        find_result: Callable[[int], TrialResult | None],
    ) -> Mapping[str, Any]:
        """Record a known result of a trial whose driver died before `tell`."""
        result = find_result(trial.user_attrs[NUMBER])
        if result is None:
            return {}
        record = result_attribute(result)
        # Private, but the only way to write to a trial of another process.
        optuna.Trial(self.study, trial._trial_id).set_user_attr(RESULT, record)
        return record

    def _enqueue(self, configuration: Configuration) -> Slot:
        """Start a trial of given values with Optuna's queue."""
        # A model-based sampler would compute a sample that is not used.
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        fixed = {
            stored_name(step.key, step.parameter): encode(step.parameter, step.value)
            for step in configuration
            if distribution_of(step.parameter) is not None
        }
        self.study.enqueue_trial(fixed)
        slot = self._ask()
        for step in configuration:
            slot.propose(step.key, step.parameter)
        return slot

    def _ask(self) -> Slot:
        """Ask for a trial, and buffer its records until it has been entered."""
        if self._journal is not None:
            self._journal.flush()
        slot = Slot(self.study.ask())
        if self._journal is not None:
            self._journal.start_buffering()
        return slot

    def _batch(self) -> AbstractContextManager[None]:
        """Write all records of a block at once."""
        return nullcontext() if self._journal is None else self._journal.batch()

    def _finish(self, optuna_number: int, record: Mapping[str, Any]) -> None:
        self.study.sampler = make_tpe(seed=0)  # records constraint values
        state = record.get("state")
        if state == TrialState.COMPLETE:
            self.study.tell(optuna_number, record.get("scores") or record["score"])
        elif record.get("violation"):
            # Pruned rather than failed: samplers ignore failed trials.
            self.study.tell(optuna_number, state=OptunaState.PRUNED)
        elif state == TrialState.PRUNED:
            self.study.tell(optuna_number, state=OptunaState.PRUNED)
        else:
            self.study.tell(optuna_number, state=OptunaState.FAIL)

    def _start_queued_trials(self) -> None:
        """Start the trials that a dead process left queued, so that they can end."""
        waiting = self.study.get_trials(deepcopy=False, states=(OptunaState.WAITING,))
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        for _ in waiting:
            self.study.ask()

    def _slot(self, number: int) -> Slot:
        if number not in self._slots:
            raise LookupError(
                f"trial {number} is not running: it was never asked, or has finished "
                "already"
            )
        return self._slots[number]


def open_trial_store(
    place: str | Path, name: str, *, goal: "Goal | None" = None
) -> TrialStore:
    """Open the trial store of a search.

    Args:
        place: A file, or the URL of a database (``postgresql://…``).
        name: Name of the study.
        goal: The objectives of a store that is created if it does not exist. None:
            open an existing store to read it.

    Raises:
        StoreError: It does not exist, is damaged, or has the opposite direction.
        OSError: The file is not readable or not writable.
    """
    try:
        study, journal = open_study(place, name, goal)
        return TrialStore(study, journal=journal)
    except (StoreError, OSError):
        raise
    except Exception as error:
        raise StoreError(_open_failure(place, error)) from error


def _open_failure(place: str | Path, error: Exception) -> str:
    """Return the message for a study that cannot be opened, with a remedy."""
    if "://" in str(place):
        return f"the study at {place} cannot be opened: {error}"
    problem = journal_problem(Path(place)) or f"it is not of this search ({error})"
    return (
        f"the study {place} cannot be opened: {problem}. It was left unchanged. "
        "Restore it from a copy. MLflow still has its trials; a new search can start "
        f"from the best of them: --warm-start {Path(place).stem}"
    )


def _unique_key(parameter: Parameter, used: set[str]) -> str:
    if parameter.name not in used:
        return parameter.name
    conditions = ", ".join(
        f"{name}={'|'.join(map(str, values))}" for name, values in parameter.conditions
    )
    key = f"{parameter.name} [{conditions}]" if conditions else parameter.name
    count = 2
    while key in used:
        key = f"{parameter.name} [{count}]"
        count += 1
    return key
