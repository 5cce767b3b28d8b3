"""Splits into train and valid that measure what they should: no source on both sides, classes as even as can be.

A clip of the same film, camera or person as a training clip is easier than the world will be. So neither a group nor a
file is ever torn. One file may hold several groups: two people in one film, who also are in others, tie these films.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.dataset import DataSet, file_of, first_few
from kinema.errors import DataError, UnknownName
from kinema.types import Example
from kinema.video.listing import natural_key

WAYS = ("auto", "random", "groups", "blocks")

Units = dict[str, list[Example]]
"""Examples that stay together, by the name of one of their groups or files."""

_log = logging.getLogger("kinema")


def split_data(
    data: DataSet,
    *,
    by: str = "auto",
    valid_fraction: float = 0.2,
    valid_groups: Sequence[str] = (),
    seed: int = 0,
) -> DataSet:
    """Say of every example whether it is for training or validation. A test part is left alone.

    Args:
        data: what to split.
        by: "auto" keeps the data set's own parts; where there are none it splits by groups if there are any, else at
            random. "random" draws the same share of each class. "groups" draws whole groups so that the classes come
            out as even as can be. "blocks" takes the last share of each class in the natural order of file names, for
            clips whose neighbours are alike. No way ever tears a group or a file. Where examples have several labels,
            "random" makes the labels come out as even as can be, and "blocks" takes the last share of all files.
        valid_fraction: share of the examples for validation, between 0 and 1.
        valid_groups: patterns (`station_*`) of the groups for validation; all others are for training. Overrides `by`.
        seed: the same seed gives the same split, in whatever order the files are listed.

    Raises:
        UnknownName: an unknown way, or a pattern that no group has.
        DataError: a part would be empty.
    """
    if by not in WAYS:
        raise UnknownName("way to split", by, WAYS)
    if not 0 < valid_fraction < 1:
        raise DataError("a validation share lies between 0 and 1", valid_fraction, "take 0.2 for a fifth")
    if by == "auto" and not valid_groups and {"train", "valid"} <= set(data.parts):
        return _warned(data)
    open_examples = sorted((e for e in data.examples if e.split != "test"), key=lambda e: natural_key(e.key))
    if not open_examples:
        raise DataError("nothing to train on", data.root, "it has a test part only: add a train part")
    units = units_of(open_examples)
    chosen = _choose(data, units, by, valid_fraction, valid_groups, np.random.default_rng([seed]))
    valid = {example.key for name in chosen for example in units[name]}
    if not valid or len(valid) == len(open_examples):
        do = "a group or file is never torn, nor groups that share a file: add others, or fill a manifest's column `split`"
        raise DataError(f"cannot split {len(open_examples)} examples of {len(units)} groups or files", data.root, do)
    return _warned(data.with_examples(assigned(example, valid) for example in data.examples))


def torn_groups(data: DataSet) -> list[str]:
    """Groups that stand in more than one part, and absolute paths of files that do and are not all of one group, sorted."""
    parts: defaultdict[str, set[str | None]] = defaultdict(set)
    groups: defaultdict[str, set[str | None]] = defaultdict(set)
    for example in data.examples:
        file = file_of(example)
        groups[file].add(example.group)
        for name in (file, example.group or file):
            parts[name].add(example.split)
    told = {file for file, own in groups.items() if len(own) == 1 and own != {None}}  # by their group
    return sorted(name for name, found in parts.items() if len(found) > 1 and name not in told)


def units_of(examples: Sequence[Example]) -> Units:
    """What stays together: examples of one group or of one file, and all that these tie to each other."""
    towards: dict[str, str] = {}  # from a group or file to another that it is tied to, in the end to the unit's name

    def end(name: str) -> str:
        while (further := towards.setdefault(name, name)) != name:
            towards[name] = name = towards[further]
        return name

    for example in examples:
        towards[end(file_of(example))] = end(example.group or file_of(example))
    units: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        units[end(file_of(example))].append(example)
    return dict(units)


def _choose(
    data: DataSet,
    units: Units,
    by: str,
    fraction: float,
    patterns: Sequence[str],
    rng: np.random.Generator,
) -> set[str]:
    """Names of the units for validation."""
    if patterns:
        return _matching(units, patterns)
    grouped = any(len(examples) > 1 for examples in units.values())
    if by == "groups" and not any(example.group for examples in units.values() for example in examples):
        do = "name columns of a manifest with group_by, or split by random or blocks"
        raise DataError("no example has a group", data.root, do)
    if by == "blocks":
        return _last_of_each(units, fraction, data.multi_label)
    if grouped or data.multi_label:
        return _balanced(units, fraction, rng)
    return _share_of_each(units, fraction, rng)


def _matching(units: Units, patterns: Sequence[str]) -> set[str]:
    groups = sorted({e.group for examples in units.values() for e in examples if e.group is not None})
    for pattern in patterns:
        if not any(fnmatchcase(group, pattern) for group in groups):
            raise UnknownName("group", pattern, groups, "no example has a group: name columns with group_by")
    wanted = {group for group in groups if any(fnmatchcase(group, pattern) for pattern in patterns)}
    return {name for name, examples in units.items() if any(e.group in wanted for e in examples)}


def by_class(units: Units, multi_label: bool) -> dict[str, list[str]]:
    """Unit names by the label of their first example; all under one where an example may have several."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, examples in units.items():
        found["" if multi_label else examples[0].label].append(name)
    return dict(found)


def _share_of_each(units: Units, fraction: float, rng: np.random.Generator) -> set[str]:
    chosen: set[str] = set()
    for _, names in sorted(by_class(units, multi_label=False).items()):
        order = rng.permutation(len(names))[: _share(len(names), fraction)]
        chosen |= {names[index] for index in order}
    return chosen


def _last_of_each(units: Units, fraction: float, multi_label: bool) -> set[str]:
    chosen: set[str] = set()
    for names in by_class(units, multi_label).values():
        wanted = _share(sum(len(units[name]) for name in names), fraction)
        for name in reversed(names[1:]):
            if wanted >= len(units[name]) / 2:
                wanted -= len(units[name])
                chosen.add(name)
    return chosen


def _share(count: int, fraction: float) -> int:
    """At least one of two or more, and never all."""
    return min(max(round(count * fraction), 1), count - 1)


def _balanced(units: Units, fraction: float, rng: np.random.Generator) -> set[str]:
    """Whole units so that each class comes as near to its share as can be: the best of several greedy runs."""
    names = sorted(units)
    classes = sorted({label for examples in units.values() for e in examples for label in e.labels})
    column = {label: index for index, label in enumerate(classes)}
    counts = [Counter(column[label] for e in units[name] for label in e.labels) for name in names]
    totals = np.zeros(len(classes))
    for count in counts:
        for index, number in count.items():
            totals[index] += number
    runs = [_greedy(counts, totals * fraction, rng.permutation(len(names))) for _ in range(1 + 20_000 // len(names))]
    _, best = min(runs, key=lambda run: run[0])
    return {names[index] for index in best}


def _greedy(
    counts: list[Counter[int]], wanted: NDArray[np.float64], order: NDArray[np.int64]
) -> tuple[float, list[int]]:
    """Take units in `order` as long as each brings the classes nearer to what is wanted; the distance that is left."""
    have = np.zeros_like(wanted)
    taken = []
    for index in order:
        columns, numbers = np.array(list(counts[index].items())).T
        before, after = have[columns] / wanted[columns] - 1, (have[columns] + numbers) / wanted[columns] - 1
        if float((after**2 - before**2).sum()) < 0:
            have[columns] += numbers
            taken.append(int(index))
    return float(((have / wanted - 1) ** 2).sum()), taken


def assigned(example: Example, valid: set[str]) -> Example:
    """The example with its part: validation if its key is in `valid`, else training; one of the test part stays there."""
    return example if example.split == "test" else replace(example, split="valid" if example.key in valid else "train")


def _warned(data: DataSet) -> DataSet:
    """Warn of classes that only one part has, and of groups and files that the data set's own parts tear."""
    counts = {part: data.part(part).counts() for part in ("train", "valid")}
    for part, other in (("train", "valid"), ("valid", "train")):
        alone = [label for label in data.labels if counts[part][label] and not counts[other][label]]
        if alone:
            _log.warning("%s: classes with no example in the %s part: %s", data.root, other, first_few(alone, 10))
    torn = torn_groups(data)
    if torn:
        what = "groups or files stand in two parts, so validation flatters"
        _log.warning("%s: %d %s: %s", data.root, len(torn), what, first_few(torn))
    return data
