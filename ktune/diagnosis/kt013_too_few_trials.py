"""KT013: the search has too few trials for its number of parameters."""

from typing import ClassVar

from ktune.diagnosis.rule import Finding, NotApplicable, Severity, finding
from ktune.diagnosis.view import SearchView
from ktune.trial import TrialState
from ktune.utils.text import count_of

TRIALS_PER_PARAMETER = 5
LEAST_TRIALS = 10


class TooFewTrials:
    """A longer search would probably find something better.

    Threshold:
        Fewer finished trials than the larger of 10 and five for each varied
        parameter, unless all values of the space were tried.

    Evidence:
        Numbers of trials, of parameters, and of sufficient trials.

    Source:
        Bergstra & Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13
        (2012). Optuna's TPE starts with ten random trials.
    """

    code: ClassVar[str] = "KT013"
    title: ClassVar[str] = "Too few trials for the space"
    severity: ClassVar[Severity] = Severity.TIP

    def check(self, view: SearchView) -> Finding | None:
        """Compare the number of trials with the number of parameters."""
        finished = [v for v in view.trials if v.result.state is not TrialState.FAILED]
        if not finished:
            raise NotApplicable("no trial is finished")
        varied = _varied(view)
        if not varied:
            raise NotApplicable("no parameter was varied")
        wanted = max(LEAST_TRIALS, TRIALS_PER_PARAMETER * len(varied))
        wanted = int(min(wanted, _size_of_space(view, varied)))
        if len(finished) >= wanted:
            return None
        message = (
            f"{count_of(len(finished), 'trial')} for "
            f"{count_of(len(varied), 'parameter')} "
            f"({', '.join(f'`{name}`' for name in varied[:6])}"
            f"{' …' if len(varied) > 6 else ''}) are too few to find the best values."
        )
        remedy = (
            f"Continue with `--resume --trials {wanted}`, or fix unimportant "
            "parameters (see the importances in the report)."
        )
        return finding(
            self,
            message,
            remedy,
            n_trials=float(len(finished)),
            n_parameters=float(len(varied)),
            wanted=float(wanted),
        )


def _varied(view: SearchView) -> list[str]:
    """Return the parameters with a range, or with several values in the trials."""
    if view.space:
        return [
            name
            for name, parameter in view.space.items()
            if len(parameter.choices) > 1
            or (parameter.low is not None and parameter.low != parameter.high)
        ]
    seen: dict[str, set[object]] = {}
    for trial_view in view.trials:
        for name, value in trial_view.trial.values.items():
            seen.setdefault(name, set()).add(value)
    return [name for name, values in seen.items() if len(values) > 1]


def _size_of_space(view: SearchView, varied: list[str]) -> float:
    """Return the number of different configurations; infinite if unknown."""
    size = 1.0
    for name in varied:
        parameter = view.space.get(name)
        size *= float("inf") if parameter is None else parameter.n_values
    return size
