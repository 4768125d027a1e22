"""Hold out the test set and make the folds of a search."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    train_test_split,
)

from ktune.data.dataset import Dataset, Inputs, Targets, Task, take_rows
from ktune.errors import DataError, ExperimentError
from ktune.utils.seeds import derive_seed

N_BINS = 10
"""Number of bins of a regression target for stratification."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Row positions of one fold, among all rows without the test rows.

    Attributes:
        index: 0, 1, 2, …
        train: Positions of training rows, ascending.
        validation: Positions of validation rows, ascending.
    """

    index: int
    train: np.ndarray
    validation: np.ndarray


@dataclass(frozen=True, eq=False)
class Partition:
    """The data of a search, split once into rows for trials and test rows.

    Attributes:
        x: Features of the rows for trials.
        y: Targets of these rows.
        folds: The folds of ``x``, the same for every trial.
        rows: Positions of these rows in the data set.
        x_test: Features of the untouched test set; None: no test set.
        y_test: Targets of the test set.
        test_rows: Positions of the test rows in the data set; None if the source has
            its own test set, or there is none.
        groups: Group of each row; None: no groups.
        in_time_order: Whether the rows are sorted by time, so that validation rows
            must be later than training rows.
        weights: Weight of each row; None: all rows count the same.
        weights_test: Weights of the test set, likewise.
    """

    x: Inputs
    y: Targets
    folds: tuple[Fold, ...]
    rows: np.ndarray
    x_test: Inputs | None = None
    y_test: Targets | None = None
    test_rows: np.ndarray | None = None
    groups: np.ndarray | None = None
    in_time_order: bool = False
    weights: np.ndarray | None = None
    weights_test: np.ndarray | None = None

    @property
    def test_digest(self) -> str:
        """Hash of the positions of the test rows; "" without a test set."""
        if self.y_test is None:
            return ""
        if self.test_rows is None:
            return f"own test set of {len(self.y_test)} rows"
        rows = np.ascontiguousarray(self.test_rows, dtype="<i8")
        return hashlib.sha256(rows.data).hexdigest()[:16]


def split(
    dataset: Dataset,
    *,
    cv: Any,
    test_size: float,
    seed: int,
    stratify: str = "auto",
) -> Partition:
    """Hold out the test set, then make the folds from the other rows.

    Args:
        dataset: The data set.
        cv: Number of folds, or any scikit-learn splitter.
        test_size: Share of rows held out, in [0, 1). Ignored if the source has its
            own test set; 0 means no untouched test set.
        seed: Seed of the search, for the folds. The test rows do not depend on it, so
            that several searches share them and never train on them.
        stratify: See `make_folds`; applies to the test rows as well.

    Raises:
        DataError: There are too few rows, of a class or in total, for the split.
        ExperimentError: The splitter does not fit the data.
    """
    if dataset.x_test is not None or test_size == 0:
        rows, test_rows = np.arange(dataset.n_rows), None
    else:
        rows, test_rows = _hold_out(dataset, test_size, stratify)
    y = dataset.y[rows]
    _check_every_class_is_left(dataset, y)
    groups = None if dataset.groups is None else dataset.groups[rows]
    x_test, y_test = dataset.x_test, dataset.y_test
    if test_rows is not None:
        x_test, y_test = take_rows(dataset.x, test_rows), dataset.y[test_rows]
    folds = make_folds(
        cv,
        y,
        task=dataset.task,
        groups=groups,
        in_time_order=dataset.times is not None,
        seed=seed,
        stratify=stratify,
        class_names=dataset.class_names,
    )
    x = dataset.x if test_rows is None else take_rows(dataset.x, rows)
    in_order = dataset.times is not None
    return Partition(
        x,
        y,
        folds,
        rows,
        x_test,
        y_test,
        test_rows,
        groups,
        in_order,
        *split_weights(dataset, rows, test_rows),
    )


def split_weights(
    dataset: Dataset, rows: np.ndarray, test_rows: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the weights of the rows for trials, and of the test set."""
    weights = dataset.weights
    if weights is None:
        return None, dataset.weights_test
    of_test = dataset.weights_test if test_rows is None else weights[test_rows]
    return weights[rows], of_test


def reshuffle(
    partition: Partition, *, cv: Any, task: Task, stratify: str, seed: int
) -> Partition:
    """Return the same rows in other folds.

    Args:
        partition: A partition of `split`.
        cv: Number of folds.
        task: Task of the data; classes are stratified.
        stratify: See `make_folds`.
        seed: Seed of the folds.

    Raises:
        ExperimentError: ``cv`` is a splitter, or time fixes the folds.
    """
    if not isinstance(cv, int) or partition.in_time_order:
        raise ExperimentError(
            "`reshuffle` makes new folds for every trial, so it needs `cv` to be a "
            "number of folds, and rows without time. Leave it out."
        )
    folds = make_folds(
        cv,
        partition.y,
        task=task,
        groups=partition.groups,
        seed=seed,
        stratify=stratify,
    )
    return replace(partition, folds=folds)


def make_folds(
    cv: Any,
    y: Targets,
    *,
    task: Task,
    groups: np.ndarray | None = None,
    in_time_order: bool = False,
    seed: int = 0,
    stratify: str = "auto",
    class_names: tuple[str, ...] = (),
) -> tuple[Fold, ...]:
    """Make folds by an int (stratified for classes, groups not split) or a splitter.

    Args:
        cv: An int of at least 2, or a splitter with scikit-learn's ``split``.
        y: Targets, one for each row.
        task: Task of the data; classes are stratified.
        groups: One label for each row, or None.
        in_time_order: Train on earlier rows and validate on the next ones.
        seed: Seed of the search.
        stratify: "auto": by class; "bins": for a regression also by tenths of the
            target; "none": not stratified.
        class_names: For messages, in the order of the class numbers.

    Returns:
        Folds with ascending positions.

    Raises:
        DataError: A class has fewer rows than there are folds.
        ExperimentError: The splitter rejects the data, or a fold has no training or no
            validation rows.
    """
    if isinstance(cv, int):
        strata = None if in_time_order else make_strata(y, task, stratify, cv)
        _check_class_counts(cv, y, task, class_names)
        splitter = (
            TimeSeriesSplit(cv)
            if in_time_order
            else _default_splitter(cv, strata, groups, seed)
        )
        labels = y if strata is None else strata
    else:
        splitter, labels = cv, y
    if task is Task.CUSTOM:
        labels = None  # of arrays of any shape, a splitter sees the rows only
    try:
        pairs = list(splitter.split(np.zeros(len(y)), labels, groups))
    except ValueError as error:
        raise ExperimentError(
            f"`cv`: {splitter!r} cannot split these {len(y)} rows: {error}"
        ) from error
    folds = tuple(
        Fold(index, np.sort(train), np.sort(validation))
        for index, (train, validation) in enumerate(pairs)
    )
    _check_folds(folds, y, task, class_names)
    return folds


def make_strata(
    y: Targets, task: Task, stratify: str, n_folds: int = 2
) -> np.ndarray | None:
    """Return the labels for a stratified split; None: not stratified.

    Raises:
        ExperimentError: Bins are requested for several targets.
    """
    if stratify == "none" or task is Task.MULTILABEL:
        return None
    if task.is_classification:
        return y
    if stratify != "bins":
        return None
    if task is Task.CUSTOM:
        raise ExperimentError(
            "`stratify` by bins needs a single number as target; a custom task has "
            "arrays. Leave it out."
        )
    if y.ndim != 1:
        raise ExperimentError(
            "`stratify` by bins needs a single target; there are "
            f"{y.shape[1]}. Leave it out."
        )
    n_bins = max(1, min(N_BINS, len(y) // n_folds))
    ranks = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    return ranks * n_bins // len(y)


def fold_of_rows(folds: Iterable[Fold], n_rows: int) -> np.ndarray:
    """Return the last fold that validates on each row; -1 for none."""
    assignment = np.full(n_rows, -1, dtype=np.int16)
    for fold in folds:
        assignment[fold.validation] = fold.index
    return assignment


def _hold_out(
    dataset: Dataset, test_size: float, stratify: str
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(dataset.n_rows)
    if dataset.groups is not None:
        return _hold_out_groups(dataset, dataset.groups, test_size)
    if dataset.times is not None:
        return _hold_out_latest(dataset, test_size)
    strata = make_strata(dataset.y, dataset.task, stratify)
    try:
        kept, held_out = train_test_split(
            rows,
            test_size=test_size,
            stratify=strata,
            random_state=derive_seed("test"),
        )
    except ValueError as error:
        raise DataError(
            f"{dataset.name}: cannot hold out test_size={test_size} of "
            f"{dataset.n_rows} rows: {error} Use another `test_size`; 0.0 means no "
            "untouched test set."
        ) from error
    return np.sort(kept), np.sort(held_out)


def _hold_out_groups(
    dataset: Dataset, groups: np.ndarray, test_size: float
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out whole groups until about ``test_size`` of the rows are held out."""
    labels = np.unique(groups)
    order = np.random.default_rng(derive_seed("test")).permutation(labels)
    sizes = np.array([np.sum(groups == label) for label in order])
    n_groups = int(np.searchsorted(np.cumsum(sizes), test_size * len(groups))) + 1
    if n_groups >= len(labels):
        raise DataError(
            f"{dataset.name}: test_size={test_size} would hold out all {len(labels)} "
            "groups. Use another `test_size`; 0.0 means no untouched test set."
        )
    held_out = np.isin(groups, order[:n_groups])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _hold_out_latest(
    dataset: Dataset, test_size: float
) -> tuple[np.ndarray, np.ndarray]:
    n_kept = dataset.n_rows - math.ceil(test_size * dataset.n_rows)
    if n_kept < 1:
        raise DataError(
            f"{dataset.name}: test_size={test_size} would hold out all "
            f"{dataset.n_rows} rows. Use a smaller one; 0.0 means no untouched test "
            "set."
        )
    rows = np.arange(dataset.n_rows)
    return rows[:n_kept], rows[n_kept:]


def _check_every_class_is_left(dataset: Dataset, y: np.ndarray) -> None:
    if not dataset.task.is_classification:
        return
    missing = np.setdiff1d(np.arange(dataset.n_outputs), y)
    if len(missing):
        raise DataError(
            f"{dataset.name}: class {missing[0]} has 0 rows outside the test set, so "
            "it cannot be learned. Use another `test_size`, or groups that hold "
            "several classes."
        )


def _default_splitter(
    n_folds: int, strata: np.ndarray | None, groups: np.ndarray | None, seed: int
) -> Any:
    random_state = derive_seed(seed, "folds")
    if groups is not None:
        kind = GroupKFold if strata is None else StratifiedGroupKFold
    else:
        kind = KFold if strata is None else StratifiedKFold
    return kind(n_folds, shuffle=True, random_state=random_state)


def _check_class_counts(
    n_folds: int, y: np.ndarray, task: Task, names: tuple[str, ...]
) -> None:
    if len(y) < 2 * n_folds:
        raise DataError(
            f"{len(y)} rows are too few for {n_folds} folds; use fewer folds (`cv`)."
        )
    if not task.is_classification:
        return
    counts = np.bincount(y)
    rarest = int(np.argmin(counts))
    if counts[rarest] < n_folds:
        raise DataError(
            f"class {_name(rarest, names)} has {counts[rarest]} rows outside the test "
            f"set, too few for {n_folds} folds. Use `cv` of at most "
            f"{max(2, counts[rarest])}, merge rare classes, or pass a splitter."
        )


def _check_folds(
    folds: tuple[Fold, ...], y: np.ndarray, task: Task, names: tuple[str, ...]
) -> None:
    if not folds:
        raise ExperimentError("`cv` yields no folds for these data.")
    for fold in folds:
        _check_sides(fold, len(y))
        if not task.is_classification:
            continue
        missing = np.setdiff1d(np.unique(y), np.unique(y[fold.train]))
        if len(missing):
            raise DataError(
                f"fold {fold.index} has no training row of class "
                f"{_name(missing[0], names)}. "
                "Shuffle or stratify in `cv`, use fewer folds, or merge rare classes."
            )


def _name(class_number: int, names: tuple[str, ...]) -> str:
    return repr(names[class_number]) if names else str(class_number)


def _check_sides(fold: Fold, n_rows: int) -> None:
    if not len(fold.train) or not len(fold.validation):
        raise ExperimentError(f"`cv`: fold {fold.index} has an empty side.")
    if max(fold.train[-1], fold.validation[-1]) >= n_rows:
        raise ExperimentError(
            f"`cv`: fold {fold.index} names row "
            f"{max(fold.train[-1], fold.validation[-1])}, but without the test set "
            f"there are {n_rows} rows. Make the splitter for these, or use "
            "test_size=0.0."
        )
    shared = np.intersect1d(fold.train, fold.validation)
    if len(shared):
        raise ExperimentError(
            f"`cv`: fold {fold.index} validates on {len(shared)} rows it trains on."
        )
