"""The model card as Markdown, from plain values.

Source:
    Mitchell et al., Model Cards for Model Reporting, FAT* 2019: sections of a card.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ktune.metrics.intervals import Estimate
from ktune.tracking.records import short
from ktune.utils.text import count_of

NOT_STATED = "not stated (set `license=` in the experiment)"
_BASELINES = {
    "constant": "a constant guess",
    "linear": "a linear model",
    "trees": "a small forest",
}


@dataclass(frozen=True)
class Member:
    """A trial whose model is a member of this one."""

    number: int
    run_id: str
    values: Mapping[str, Any]
    weight: float = 1.0


@dataclass(frozen=True)
class Card:
    """Content of a model card.

    Attributes:
        name: Name of the registered model.
        version: Its version.
        license: Licence in the experiment; "" if not stated.
        data: Description of the data in `search.json`.
        data_digest: Digest of the data it was trained and tested on.
        class_names: In the order of its outputs.
        params: Params of the search.
        objective: Objective of the search.
        n_trials: Number of trials of the search by state.
        members: Its trials; one, unless it is an ensemble.
        epochs: Epochs of its training; None for an ensemble.
        method: Method of an ensemble; "" for one model.
        fold_scores: Mean and deviation over folds by metric.
        test: Score on the untouched test rows by metric.
        baselines: Scores of simple models on the same folds.
        verdict: Verdict on the trial.
        findings: Findings about trial and search.
        gate: Its last alias change as text.
        search_run_id: The search.
        command: Command that started the search.
        git_commit: Commit of the source; "" if unknown.
        environment: Content of `environment.json`.
    """

    name: str
    version: int
    license: str
    data: Mapping[str, Any]
    data_digest: str
    class_names: Sequence[str]
    params: Mapping[str, str]
    objective: str
    n_trials: Mapping[str, int]
    members: Sequence[Member]
    epochs: int | None
    method: str
    fold_scores: Mapping[str, tuple[float, float | None]]
    test: Mapping[str, Estimate]
    baselines: Mapping[str, float]
    verdict: str
    findings: Sequence[Mapping[str, str]]
    gate: str
    search_run_id: str
    command: str
    git_commit: str
    environment: Mapping[str, Any] = field(default_factory=dict)


def render_card(card: Card) -> str:
    """Return a card as Markdown, one heading per section."""
    sections = {
        "Data": _data(card),
        "Search": _search(card),
        "Scores": _scores(card),
        "Verdict": _verdict(card),
        "Limits": _limits(card),
        "How to reproduce": _reproduction(card),
        "Licence": [card.license or NOT_STATED],
    }
    text = [f"# {card.name}, version {card.version}", "", *_summary(card)]
    for title, lines in sections.items():
        text += ["", f"## {title}", "", *lines]
    return "\n".join(text) + "\n"


def _summary(card: Card) -> Iterator[str]:
    task = str(card.data.get("task", "")).replace("_", " ")
    made = "one Keras model" if not card.method else f"{card.method}, one Keras model"
    yield (
        f"Predicts a {task} target from {card.data.get('kind', '')} rows of shape "
        f"{_shape(card.data.get('input_shape'))}; {made} with preprocessing."
    )
    if card.gate:
        yield ""
        yield f"Status: {card.gate}."


def _data(card: Card) -> Iterator[str]:
    data = card.data
    yield from _table(
        ("data set", data.get("name")),
        ("digest", f"`{card.data_digest}`"),
        ("rows for training and validation", data.get("n_rows")),
        ("untouched test rows", data.get("n_test_rows")),
        ("weights of rows, counted in scores", data.get("row_weights") or None),
    )
    if card.class_names:
        shown = ", ".join(map(str, card.class_names[:20]))
        more = len(card.class_names) - 20
        yield f"| classes | {shown}{f' and {more} more' if more > 0 else ''} |"


def _search(card: Card) -> Iterator[str]:
    params = card.params
    counts = ", ".join(f"{n} {state}" for state, n in card.n_trials.items())
    yield from _table(
        ("engine, sampler, pruner", _listed(params, "engine", "sampler", "pruner")),
        ("trials", counts),
        ("folds (`cv`)", params.get("cv")),
        ("objective", card.objective),
        ("seed", params.get("seed")),
        ("epochs of the refit", card.epochs),
    )
    for member in card.members:
        weight = f", weight {member.weight:.3g}" if card.method else ""
        yield ""
        yield f"Values of trial {member.number}{weight}:"
        yield ""
        yield from _table(*((n, short(v)) for n, v in member.values.items()))


def _scores(card: Card) -> Iterator[str]:
    if not card.test:
        yield "There is no untouched test set: these scores selected the model."
        yield ""
    yield "| metric | folds, mean ± deviation | test [95 % interval] |"
    yield "|---|---|---|"
    for name in dict.fromkeys([*card.fold_scores, *card.test]):
        yield f"| {name} | {_fold_text(card, name)} | {_test_text(card, name)} |"
    if card.baselines:
        scores = [
            f"{text} {card.baselines[kind]:.4f}"
            for kind, text in _BASELINES.items()
            if kind in card.baselines
        ]
        yield ""
        yield (
            f"For comparison, {card.objective} on the same folds: {', '.join(scores)}."
        )


def _verdict(card: Card) -> Iterator[str]:
    yield f"**{card.verdict or 'none'}**"
    for found in card.findings:
        yield ""
        yield f"- {found['code']} {found['title']}: {found['message']}"


def _limits(card: Card) -> Iterator[str]:
    yield (
        f"- Measured on rows like those of {card.data.get('name')!r} only; nothing is "
        "known about other sources, times or groups."
    )
    if card.test:
        yield (
            f"- The intervals reflect the sampling of {card.data.get('n_test_rows')} "
            "test rows, but not the randomness of training."
        )
    trials = count_of(sum(card.n_trials.values()), "trial")
    yield (
        f"- It was selected among {trials} by its fold scores, so these are slightly "
        "optimistic; the test scores are not."
    )
    if len(card.members) > 1:
        yield f"- Predicting a row runs {len(card.members)} models."
    if card.class_names:
        yield "- Probabilities are only as calibrated as finding KT010 reports."


def _reproduction(card: Card) -> Iterator[str]:
    yield "```sh"
    for member in card.members:
        yield f"ktune reproduce {member.run_id}  # trial {member.number}"
    yield "```"
    yield ""
    environment = card.environment
    packages = environment.get("packages", {})
    versions = [f"Python {environment.get('python')}"] + [
        f"{name} {packages[name]}"
        for name in ("ktune", "keras", "tensorflow", "scikit-learn", "numpy")
        if name in packages
    ]
    yield from _table(
        ("search", f"`{card.search_run_id}`"),
        ("command", f"`{card.command}`"),
        ("git commit", f"`{card.git_commit}`" if card.git_commit else "none"),
        ("versions", ", ".join(versions)),
        ("machine", environment.get("processor")),
        ("devices", ", ".join(environment.get("backend", {}).get("devices", []))),
    )


def _table(*rows: tuple[str, Any]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for name, value in rows:
        if value not in (None, ""):
            yield f"| {name} | {value} |"


def _listed(params: Mapping[str, str], *names: str) -> str:
    return ", ".join(params.get(name, "?") for name in names)


def _shape(shape: Any) -> str:
    if isinstance(shape, Mapping):
        return ", ".join(f"{name} {_shape(part)}" for name, part in shape.items())
    return "×".join(map(str, shape or [])) or "()"


def _fold_text(card: Card, name: str) -> str:
    if name not in card.fold_scores:
        return ""
    mean, deviation = card.fold_scores[name]
    return f"{mean:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")


def _test_text(card: Card, name: str) -> str:
    estimate = card.test.get(name)
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4f}"
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"
