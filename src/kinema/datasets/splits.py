"""Splits into train and valid: no source is in both parts, and the classes are as even as possible.

A clip of the same source video, camera or person as a training clip is easier than new data. So neither a group nor a file is
ever divided. A file with several groups (two people in one video, who also are in others) ties these groups together.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from kinema.choices import DIVISIONS
from kinema.datasets.dataset import DataSet, absolute_path, first_few
from kinema.errors import DataError, UnknownName
from kinema.types import Example
from kinema.video.listing import natural_key

Units = dict[str, list[Example]]
"""Examples that stay together, by the name of one of their groups or files."""

_NO_ACTION = ("",)
"""What examples without a label count as, so that each part gets its share of them."""

_log = logging.getLogger("kinema")


def split_data(
    data: DataSet, *, by: str = "auto", valid_fraction: float = 0.2, valid_groups: Sequence[str] = (), seed: int = 0
) -> DataSet:
    """Assign every example to training or validation. A test part stays as it is.

    Args:
        data: the data set to split.
        by: "auto" keeps the data set's own parts; without them it splits by groups if there are any, else at
            random. "random" draws the same share of each class. "groups" draws whole groups so that the classes are as even as
            possible. "blocks" takes the last share of each class in the natural order of file names, for clips whose
            neighbours are alike. No way ever divides a group or a file. If examples have several labels, "random" makes the
            labels as even as possible, and "blocks" takes the last share of all files.
        valid_fraction: share of the examples for validation, between 0 and 1.
        valid_groups: patterns (`station_*`) of the groups for validation; all others are for training. Overrides `by`.
        seed: the same seed gives the same split, in whatever order the files are listed.

    Raises:
        UnknownName: an unknown way to split, or a pattern that no group matches.
        DataError: a part would be empty.
    """
    if by not in DIVISIONS:
        raise UnknownName("way to split", by, DIVISIONS)
    if not 0 < valid_fraction < 1:
        raise DataError("a validation share lies between 0 and 1", valid_fraction, "take 0.2 for a fifth")
    if by == "auto" and not valid_groups and {"train", "valid"} <= set(data.parts):
        return _warn_of_parts(data)
    open_examples = sorted((e for e in data.examples if e.split != "test"), key=lambda e: natural_key(e.key))
    if not open_examples:
        raise DataError("nothing to train on", data.root, "it has a test part only: add a train part")
    units = units_of(open_examples)
    if valid_groups:
        chosen = _matching_units(units, valid_groups)
    else:
        chosen = _choose_units(data, units, by, valid_fraction, np.random.default_rng([seed]))
    valid = {example.key for name in chosen for example in units[name]}
    if not valid or len(valid) == len(open_examples):
        do = "a group or file is never torn, nor groups that share a file: add others, or fill a manifest's column `split`"
        if len(units) > 1 and all(len(names) == 1 for names in by_class(units, data.multi_label).values()):
            do = "each class has one video or group: add others, or cut a long video into rows with `start`, `end` and `split`"
        raise DataError(f"cannot split {len(open_examples)} examples of {len(units)} groups or files", data.root, do)
    return _warn_of_parts(data.with_examples(assign_part(example, valid) for example in data.examples))


def torn_groups(data: DataSet) -> list[str]:
    """Sorted names of groups in more than one part, and paths of such files unless all their examples are of one group."""
    parts: defaultdict[str, set[str | None]] = defaultdict(set)
    groups: defaultdict[str, set[str | None]] = defaultdict(set)
    for example in data.examples:
        file = absolute_path(example)
        groups[file].add(example.group)
        for name in (file, example.group or file):
            parts[name].add(example.split)
    named_by_group = {file for file, own in groups.items() if len(own) == 1 and own != {None}}
    return sorted(name for name, found in parts.items() if len(found) > 1 and name not in named_by_group)


def units_of(examples: Sequence[Example]) -> Units:
    """Examples that stay together: those of one group or file, and of all groups and files that these connect.

    A union-find structure: `parent` leads from a group or file to another one of its unit, and in the end to the unit's name.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (further := parent.setdefault(name, name)) != name:
            parent[name] = name = parent[further]
        return name

    for example in examples:
        parent[root(absolute_path(example))] = root(example.group or absolute_path(example))
    units: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        units[root(absolute_path(example))].append(example)
    return dict(units)


def by_class(units: Units, multi_label: bool) -> dict[str, list[str]]:
    """Unit names by the label of their first example; all under one key if examples may have several labels."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, examples in units.items():
        found["" if multi_label else next(iter(examples[0].labels), "")].append(name)
    return dict(found)


def count_classes(units: Sequence[Sequence[Example]]) -> tuple[list[Counter[int]], NDArray[np.float64]]:
    """Examples of each class (those without a label are one), by its column, in each unit and in all of them [classes]."""
    classes = sorted({label for examples in units for e in examples for label in e.labels or _NO_ACTION})
    column = {label: index for index, label in enumerate(classes)}
    counts = [Counter(column[label] for e in examples for label in e.labels or _NO_ACTION) for examples in units]
    totals = np.zeros(len(classes))
    for count in counts:
        for index, number in count.items():
            totals[index] += number
    return counts, totals


def assign_part(example: Example, valid_keys: set[str]) -> Example:
    """The example in the validation part if its key is in `valid_keys`, else in training; test examples stay in test."""
    if example.split == "test":
        return example
    return replace(example, split="valid" if example.key in valid_keys else "train")


def _matching_units(units: Units, patterns: Sequence[str]) -> set[str]:
    """Names of the units that have a group of one of the patterns."""
    groups = sorted({e.group for examples in units.values() for e in examples if e.group is not None})
    for pattern in patterns:
        if not any(fnmatchcase(group, pattern) for group in groups):
            raise UnknownName("group", pattern, groups, "no example has a group: name columns with group_by")
    wanted = {group for group in groups if any(fnmatchcase(group, pattern) for pattern in patterns)}
    return {name for name, examples in units.items() if any(e.group in wanted for e in examples)}


def _choose_units(data: DataSet, units: Units, by: str, fraction: float, rng: np.random.Generator) -> set[str]:
    """Names of the units for validation."""
    if by == "groups" and not any(example.group for examples in units.values() for example in examples):
        do = "name columns of a manifest with group_by, or split by random or blocks"
        raise DataError("no example has a group", data.root, do)
    if by == "blocks":
        return _last_of_each_class(units, fraction, data.multi_label)
    if data.multi_label or any(len(examples) > 1 for examples in units.values()):
        return _balanced_units(units, fraction, rng)
    chosen: set[str] = set()
    for _, names in sorted(by_class(units, multi_label=False).items()):
        order = rng.permutation(len(names))[: _share(len(names), fraction)]
        chosen |= {names[index] for index in order}
    return chosen


def _last_of_each_class(units: Units, fraction: float, multi_label: bool) -> set[str]:
    chosen: set[str] = set()
    for names in by_class(units, multi_label).values():
        wanted = _share(sum(len(units[name]) for name in names), fraction)
        for name in reversed(names[1:]):
            if wanted >= len(units[name]) / 2:
                wanted -= len(units[name])
                chosen.add(name)
    return chosen


def _share(count: int, fraction: float) -> int:
    """A share of `count`: at least one, and never all."""
    return min(max(round(count * fraction), 1), count - 1)


def _balanced_units(units: Units, fraction: float, rng: np.random.Generator) -> set[str]:
    """Names of units that bring each class as near to its share as possible: the best of several random greedy passes."""
    names = sorted(units)
    counts, totals = count_classes([units[name] for name in names])
    wanted = totals * fraction

    def greedy_pass(order: NDArray[np.int64]) -> tuple[float, list[int]]:
        """Takes each unit that brings the classes nearer to what is wanted; the distance that is left, and the units."""
        have = np.zeros_like(wanted)
        taken = []
        for index in order:
            columns, numbers = np.array(list(counts[index].items())).T
            before, after = have[columns] / wanted[columns] - 1, (have[columns] + numbers) / wanted[columns] - 1
            if float((after**2 - before**2).sum()) < 0:
                have[columns] += numbers
                taken.append(int(index))
        return float(((have / wanted - 1) ** 2).sum()), taken

    num_passes = 1 + 20_000 // len(names)
    _, best = min((greedy_pass(rng.permutation(len(names))) for _ in range(num_passes)), key=lambda found: found[0])
    return {names[index] for index in best}


def _warn_of_parts(data: DataSet) -> DataSet:
    """Warns of classes that only one part has, and of groups and files in two parts; returns the data set."""
    counts = {part: data.part(part).counts() for part in ("train", "valid")}
    for part, other in (("train", "valid"), ("valid", "train")):
        alone = [label for label in data.labels if counts[part][label] and not counts[other][label]]
        if alone:
            _log.warning("%s: classes with no example in the %s part: %s", data.root, other, first_few(alone, 10))
    torn = torn_groups(data)
    if torn:
        what = "groups or files are in two parts, so validation scores are too high"
        _log.warning("%s: %d %s: %s", data.root, len(torn), what, first_few(torn))
    return data
