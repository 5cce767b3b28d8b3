"""Cross-validation: K divisions of a data set, in which every example is in the validation part exactly once.

As in `splits`, a group or a file is never divided. A greedy pass deals whole groups to folds so that every class is spread over
the folds as evenly as possible: large groups first, each to the fold that lacks its classes most.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kinema.choices import DIVISIONS
from kinema.datasets.dataset import DataSet, first_few
from kinema.datasets.splits import Units, assign_part, by_class, count_classes, units_of
from kinema.errors import DataError, UnknownName
from kinema.video.listing import natural_key

_log = logging.getLogger("kinema")


def fold_data(data: DataSet, num_folds: int = 5, *, by: str = "auto", seed: int = 0) -> list[DataSet]:
    """One data set for each of K divisions into train and valid. A test part stays as it is; other parts are not used.

    Args:
        data: the data set to divide.
        num_folds: K, at least 2.
        by: "auto" and "random" deal out groups where there are any, since a group is never divided; "groups" also requires that
            there are some. "blocks" keeps neighbouring file names of a class together; of all classes if examples have
            several labels.
        seed: the same seed gives the same folds, in whatever order the files are listed.

    Raises:
        UnknownName: an unknown way to divide.
        DataError: fewer groups (or files) than folds, or no groups with by="groups".
    """
    if by not in DIVISIONS:
        raise UnknownName("way to make folds", by, DIVISIONS)
    examples = sorted((e for e in data.examples if e.split != "test"), key=lambda e: natural_key(e.key))
    units = units_of(examples)
    if by == "groups" and not any(example.group for example in examples):
        raise DataError("no example has a group", data.root, "name columns of a manifest with group_by")
    if not 2 <= num_folds <= len(units):
        what = f"cannot make {num_folds} folds of {len(examples)} examples of {len(units)} groups or files"
        raise DataError(what, data.root, "take at least 2 folds, and no more than there are groups or files")
    if by == "blocks":
        fold_of = _deal_blocks(by_class(units, data.multi_label).values(), units, num_folds)
    else:
        fold_of = _deal_evenly(units, num_folds, np.random.default_rng([seed]))
    valid_keys: list[set[str]] = [set() for _ in range(num_folds)]
    for name, fold in fold_of.items():
        valid_keys[fold] |= {example.key for example in units[name]}
    if not all(valid_keys):
        what = f"fold {valid_keys.index(set()) + 1} of {num_folds} would be empty"
        raise DataError(what, data.root, "take fewer folds, or another way to divide")
    folds = [data.with_examples(assign_part(e, valid) for e in data.examples) for valid in valid_keys]
    _warn_of_rare_classes(folds)
    return folds


def _deal_evenly(units: Units, num_folds: int, rng: np.random.Generator) -> dict[str, int]:
    """The fold of each unit, with even numbers of each class."""
    names = [sorted(units)[index] for index in rng.permutation(len(units))]
    names.sort(key=lambda name: -len(units[name]))  # the sort is stable: units of one size stay shuffled
    counts, totals = count_classes([units[name] for name in names])
    wanted = totals / num_folds
    have: NDArray[np.float64] = np.zeros((num_folds, len(wanted)))
    sizes: NDArray[np.int64] = np.zeros(num_folds, np.int64)
    fold_of = {}
    for name, count in zip(names, counts, strict=True):
        columns, numbers = np.array(list(count.items())).T
        share, more = have[:, columns] / wanted[columns], numbers / wanted[columns]
        worse = ((share + more - 1) ** 2 - (share - 1) ** 2).sum(axis=1)
        fold = min(range(num_folds), key=lambda k: (round(float(worse[k]), 9), int(sizes[k])))
        have[fold, columns] += numbers
        sizes[fold] += len(units[name])
        fold_of[name] = fold
    return fold_of


def _deal_blocks(classes: Iterable[list[str]], units: Units, num_folds: int) -> dict[str, int]:
    """The fold of each unit: each class is cut into K blocks of neighbours."""
    fold_of = {}
    for names in classes:
        ends = np.cumsum([len(units[name]) for name in names])
        for name, end in zip(names, ends, strict=True):
            middle = end - len(units[name]) / 2
            fold_of[name] = min(int(middle * num_folds / ends[-1]), num_folds - 1)
    return fold_of


def _warn_of_rare_classes(folds: list[DataSet]) -> None:
    """Warn of classes that some validation parts lack; a class in one fold only has no training example there."""
    number = Counter(label for fold in folds for label, count in fold.part("valid").counts().items() if count)
    rare = [f"{label} ({number[label]})" for label in folds[0].labels if number[label] < len(folds)]
    if rare:
        what = f"classes with examples in fewer than {len(folds)} folds"
        _log.warning("%s: %s: %s", folds[0].root, what, first_few(rare, 10))
