"""The trial of a search that was refitted: its test scores and its model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ktune.metrics.intervals import Estimate
from ktune.tracking import names
from ktune.tracking.final_record import FinalRecord, read_final
from ktune.tracking.reader import rank_trials, test_estimates
from ktune.tracking.run_view import RunView


@dataclass(frozen=True)
class RefitRecord:
    """The record of a refit, beside the trial that is the best one now.

    A search that was resumed and killed may have a better trial than the refitted
    one, and the refitted one may have been deleted in MLflow. Test scores and model
    are those of the refitted trial only.

    Attributes:
        search: The parent run, which holds the record.
        best: The best complete trial; None if no trial is complete.
        is_present: Whether the run of the refitted trial exists.
    """

    search: RunView
    best: RunView | None
    is_present: bool

    @property
    def run_id(self) -> str:
        """Run of the refitted trial; "" before the first refit."""
        return self.search.tags.get(names.BEST_RUN, "")

    @property
    def trial(self) -> int | None:
        """Number of the refitted trial; None before the first refit."""
        number = self.search.tags.get(names.BEST_TRIAL, "")
        return int(number) if self.run_id and number.isdecimal() else None

    @property
    def is_of_best(self) -> bool:
        """Whether the best trial is the refitted one."""
        return self.best is not None and self.is_of(self.best)

    def is_of(self, trial_run: RunView) -> bool:
        """Whether a trial is the refitted one."""
        return self.run_id == trial_run.run_id

    @cached_property
    def final(self) -> FinalRecord | None:
        """The final model; None if there is no record of it for the best trial."""
        return read_final(self.search.tags) if self.is_of_best else None

    @property
    def has_average(self) -> bool:
        """Whether the final model is an average."""
        return self.final is not None and self.final.is_average

    @property
    def test(self) -> Mapping[str, Estimate]:
        """The test scores of the final model; {} if the best trial is not refitted."""
        return test_estimates(self.search, "test_") if self.is_of_best else {}

    @property
    def trial_test(self) -> Mapping[str, Estimate]:
        """The test scores of the best trial alone; {} if it is not refitted."""
        prefix = "single_test_" if self.has_average else "test_"
        return test_estimates(self.search, prefix) if self.is_of_best else {}

    @property
    def model(self) -> str:
        """The registered final model; "" if the best trial is not refitted."""
        return self.search.tags.get(names.MODEL_VERSION, "") if self.is_of_best else ""

    @property
    def version_of_average(self) -> tuple[str, int] | None:
        """Name and number of the version that is an average; None for a single one."""
        name, _, number = self.model.rpartition("/")
        return (name, int(number)) if self.has_average and number.isdecimal() else None

    @property
    def problem(self) -> str:
        """Why the best trial has no test scores, and the remedy; "" if it has."""
        if self.best is None or self.is_of_best:
            return ""
        parts = [f"Trial {self.best.number} is not refitted yet", self._refitted()]
        return f"{': '.join(filter(None, parts))}. {self._remedy()}"

    def _refitted(self) -> str:
        """Describe the model and the test scores of another trial, if there are any."""
        if not self.run_id:
            return ""
        version = self.search.tags.get(names.MODEL_VERSION)
        model = f"model {version} and the test scores" if version else "the test scores"
        trial = f"of trial {self.trial} ({self.run_id[:8]})"
        gone = "" if self.is_present else ", and its run is gone from MLflow"
        return f"{model} are {trial}{gone}"

    def _remedy(self) -> str:
        search = self.search
        command = resume_command(
            search.tags.get("ktune.command", "ktune search FILE"),
            search.run_id,
            search.tags.get(names.STORAGE, ""),
        )
        is_open = search.status == "RUNNING"
        when = "The search is running, or was interrupted; to" if is_open else "To"
        return f"{when} refit and register the best trial: {command}"


def refit_of(search: RunView, trials: Sequence[RunView]) -> RefitRecord:
    """Return the record of the refit of a search.

    Args:
        search: The parent run.
        trials: Its trials.
    """
    complete = [run for run in trials if run.state == "complete"]
    ranked = rank_trials(complete, search.goal)
    best_run = search.tags.get(names.BEST_RUN)
    is_present = any(run.run_id == best_run for run in trials)
    return RefitRecord(search, ranked[0] if ranked else None, is_present)


def resume_command(command: str, run_id: str, storage: str = "") -> str:
    """Return the command that resumes a search.

    Args:
        command: The recorded command that started it.
        run_id: Its run.
        storage: The database of its study, without a password; "" for a file.

    Example:
        >>> resume_command("ktune search birds.py", "0123456789")
        'ktune search birds.py --resume 01234567'
    """
    if command.startswith("ktune.search("):
        where = f", storage={storage!r}" if storage else ""
        return f"ktune.search(experiment, resume={run_id[:8]!r}{where})"
    where = f" --storage '{storage}'" if storage else ""
    return f"{command} --resume {run_id[:8]}{where}"
