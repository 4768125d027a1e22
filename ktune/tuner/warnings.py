"""Warnings before a search about settings that are allowed but often unintended."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ktune.data.assembly import weights_as_text
from ktune.data.dataset import Dataset, Task
from ktune.data.number_text import numbers_as_text
from ktune.data.table_and_images import table_of
from ktune.data.table_transformer import N_HASHES, is_hashed, text_columns
from ktune.evaluation.context import SearchContext

IMBALANCED_FROM = 4.0
"""Ratio of the most to the least frequent class from which accuracy is misleading."""

FEW_CATEGORIES = 20
"""Number of distinct texts up to which they are categories, even if numeric."""

IDENTIFIER_FROM = 0.9
"""Share of distinct values from which a column looks like an identifier."""


def warnings_for(dataset: Dataset, context: SearchContext) -> Iterator[str]:
    """Yield warnings about an experiment and its data."""
    yield from dataset.notes
    if dataset.weights is not None:
        without = "" if dataset.task is Task.CUSTOM else "; `loss` is scored without"
        yield (
            f"Rows have weights ({weights_as_text(dataset.weights)}): they count in "
            f"training and in every score that takes weights{without}."
        )
    table = table_of(dataset.x)
    if context.experiment.preprocess == "auto" and table is not None:
        yield from _many_categories(table)
    if dataset.task.is_classification:
        yield from _accuracy_on_imbalanced(dataset, context)
        yield from _classes_not_validated(dataset, context)


def _many_categories(frame: pd.DataFrame) -> Iterator[str]:
    for name in text_columns(frame):
        column = frame[name]
        count = int(column.nunique())
        words = column.dropna().astype(str).unique().tolist()
        if count > FEW_CATEGORIES and (problem := numbers_as_text(words)):
            yield (
                f"Column {name!r} {problem}, and is taken for {count:,} categories. "
                "Turn it into numbers: by pandas, or decimal=, thousands=, missing= of "
                "ktune.data.csv."
            )
            continue
        if not is_hashed(column):
            continue
        if count > IDENTIFIER_FROM * column.count():
            yield (
                f"Column {name!r} has {count:,} different values in {len(frame):,} "
                f"rows: it looks like an identifier. Consider drop=[{name!r}]."
            )
        else:
            yield (
                f"Column {name!r} has {count:,} categories and is hashed into "
                f"{N_HASHES} columns."
            )


def _accuracy_on_imbalanced(dataset: Dataset, context: SearchContext) -> Iterator[str]:
    y, weights = context.partition.y, context.partition.weights
    counts = np.bincount(y, weights, minlength=dataset.n_outputs)
    if context.objective.metric != "accuracy":
        return
    if counts.max() < IMBALANCED_FROM * counts.min():
        return
    name = dataset.class_names[int(counts.argmax())]
    share = counts.max() / counts.sum()
    better = "f1" if dataset.task is Task.BINARY else "f1_macro"
    yield (
        f"The objective is accuracy, but {share:.0%} of the rows are {name!r}: always "
        f"guessing it scores {share:.3f}. Consider objective={better!r} or "
        "'balanced_accuracy', and in `fit` class_weight='balanced' or resample='over'."
    )


def _classes_not_validated(dataset: Dataset, context: SearchContext) -> Iterator[str]:
    for fold in context.partition.folds:
        present = np.unique(context.partition.y[fold.validation])
        missing = np.setdiff1d(np.arange(dataset.n_outputs), present)
        if not len(missing):
            continue
        names = ", ".join(repr(dataset.class_names[number]) for number in missing[:5])
        more = ", …" if len(missing) > 5 else ""
        yield (
            f"Fold {fold.index} has no validation row of class {names}{more}: its "
            "scores are undefined there, and means over folds are less reliable. Use "
            "fewer folds, or cv as an int, which stratifies."
        )
        return
