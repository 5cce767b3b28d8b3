"""Cross-validation: K divisions of a data set in which every example is kept back exactly once.

As in `splits`, neither a group nor a file is ever torn. A greedy pass deals whole groups out so that every class comes
out as even over the folds as can be: large groups first, each to the fold that lacks its classes most.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.dataset import DataSet, first_few
from kinema.datasets.splits import Units, assigned, by_class, units_of
from kinema.errors import DataError, UnknownName
from kinema.video.listing import natural_key

FOLD_WAYS = ("auto", "random", "groups", "blocks")

_log = logging.getLogger("kinema")


def fold_data(data: DataSet, num_folds: int = 5, *, by: str = "auto", seed: int = 0) -> list[DataSet]:
    """Divide a data set K times into train and valid. A test part is left alone, other parts of its own are not kept.

    Args:
        data: what to divide.
        num_folds: K, at least 2.
        by: "auto" goes by groups where there are any, "random" too, since a group is never torn; "groups" makes sure that
            there are some. "blocks" keeps runs of neighbouring file names of a class together; of all classes where
            examples have several labels.
        seed: the same seed gives the same folds, in whatever order the files are listed.

    Returns:
        one data set a fold, with the parts set.

    Raises:
        UnknownName: an unknown way.
        DataError: fewer groups (or examples) than folds, or no groups where there should be.
    """
    if by not in FOLD_WAYS:
        raise UnknownName("way to make folds", by, FOLD_WAYS)
    examples = sorted((e for e in data.examples if e.split != "test"), key=lambda e: natural_key(e.key))
    units = units_of(examples)
    if by == "groups" and not any(example.group for example in examples):
        raise DataError("no example has a group", data.root, "name columns of a manifest with group_by")
    if not 2 <= num_folds <= len(units):
        what = f"cannot make {num_folds} folds of {len(examples)} examples of {len(units)} groups or files"
        raise DataError(what, data.root, "take at least 2 folds, and no more than there are groups or files")
    if by == "blocks":
        dealt = _in_blocks(by_class(units, data.multi_label).values(), units, num_folds)
    else:
        dealt = _dealt(units, num_folds, np.random.default_rng([seed]))
    kept_back: list[set[str]] = [set() for _ in range(num_folds)]
    for name, fold in dealt.items():
        kept_back[fold] |= {example.key for example in units[name]}
    if not all(kept_back):
        do = "take fewer folds, or another way to divide"
        raise DataError(f"fold {kept_back.index(set()) + 1} of {num_folds} would be empty", data.root, do)
    folds = [data.with_examples(assigned(e, valid) for e in data.examples) for valid in kept_back]
    _warn_of_rare(folds)
    return folds


def _dealt(units: Units, num_folds: int, rng: np.random.Generator) -> dict[str, int]:
    """The fold of each unit, by class counts."""
    names = [sorted(units)[index] for index in rng.permutation(len(units))]
    names.sort(key=lambda name: -len(units[name]))  # stable: equal sizes stay shuffled
    classes = sorted({label for examples in units.values() for e in examples for label in e.labels})
    column = {label: index for index, label in enumerate(classes)}
    wanted = np.zeros(len(classes))
    counts = {}
    for name in names:
        counts[name] = Counter(column[label] for e in units[name] for label in e.labels)
        for index, number in counts[name].items():
            wanted[index] += number / num_folds
    have: NDArray[np.float64] = np.zeros((num_folds, len(classes)))
    sizes: NDArray[np.int64] = np.zeros(num_folds, np.int64)
    dealt = {}
    for name in names:
        columns, numbers = np.array(list(counts[name].items())).T
        share, more = have[:, columns] / wanted[columns], numbers / wanted[columns]
        worse = ((share + more - 1) ** 2 - (share - 1) ** 2).sum(axis=1)
        fold = min(range(num_folds), key=lambda k: (round(float(worse[k]), 9), int(sizes[k])))
        have[fold, columns] += numbers
        sizes[fold] += len(units[name])
        dealt[name] = fold
    return dealt


def _in_blocks(classes: Iterable[list[str]], units: Units, num_folds: int) -> dict[str, int]:
    """Each class in K runs of neighbours."""
    dealt = {}
    for names in classes:
        ends = np.cumsum([len(units[name]) for name in names])
        for name, end in zip(names, ends, strict=True):
            middle = end - len(units[name]) / 2
            dealt[name] = min(int(middle * num_folds / ends[-1]), num_folds - 1)
    return dealt


def _warn_of_rare(folds: list[DataSet]) -> None:
    """Name the classes that are not in the kept back part of every fold; one that is in a single one cannot be learned there."""
    number = Counter(label for fold in folds for label, count in fold.part("valid").counts().items() if count)
    rare = [f"{label} ({number[label]})" for label in folds[0].labels if number[label] < len(folds)]
    if rare:
        _log.warning(
            "%s: classes with examples in fewer than %d folds: %s", folds[0].root, len(folds), first_few(rare, 10)
        )
