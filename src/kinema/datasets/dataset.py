"""A data set: labelled examples, listed but not decoded, with their classes and parts (train, valid, test)."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from kinema.errors import DataError, UnknownName
from kinema.labels import Labels, composed
from kinema.types import IMAGE_FPS, Example

PARTS = ("train", "valid", "test")

_log = logging.getLogger("kinema")

_SPELLINGS = {
    "train": ("train", "training", "train_set"),
    "valid": ("valid", "val", "validation", "validate", "dev", "eval"),
    "test": ("test", "testing", "test_set"),
}
PART_OF = {spelling: part for part, spellings in _SPELLINGS.items() for spelling in spellings}
"""Common spellings of the three parts, in lower case."""


def find_part(name: str, parts: Collection[str], root: str) -> str:
    """The part that is meant by a common spelling such as "validation".

    Raises:
        UnknownName: no such part.
        DataError: it is not among the parts that have examples.
    """
    part = PART_OF.get(name.lower())
    if part is None:
        raise UnknownName("part", name, PARTS)
    if part not in parts:
        do = f"its parts: {', '.join(parts) or 'none'}; split it first or choose another"
        raise DataError(f"no {part} part", root, do)
    return part


@dataclass(frozen=True)
class DataSet:
    """Labelled examples and their classes.

    Args:
        name: its name in reports.
        root: the folder or file it was opened from.
        examples: the labelled videos and spans; their keys are unique.
        labels: the classes in the order of a network's outputs.
        multi_label: whether an example may belong to several classes at once.
        image_fps: frame rate of the examples that are folders of pictures.
    """

    name: str
    root: str
    examples: tuple[Example, ...]
    labels: Labels
    multi_label: bool = False
    image_fps: float = IMAGE_FPS

    def __len__(self) -> int:
        return len(self.examples)

    def part(self, name: str) -> DataSet:
        """The examples of one part: "train", "valid" or "test".

        Raises:
            UnknownName: no such part.
            DataError: the part is empty.
        """
        part = find_part(name, self.parts, self.root)
        return self.with_examples(example for example in self.examples if example.split == part)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that have examples, in the order train, valid, test."""
        found = {example.split for example in self.examples}
        return tuple(part for part in PARTS if part in found)

    @property
    def has_parts(self) -> bool:
        """Whether every example belongs to a part."""
        return bool(self.examples) and all(example.split is not None for example in self.examples)

    def counts(self) -> dict[str, int]:
        """Number of examples of each class, in the order of `labels`; one with several labels counts for each of them."""
        counted = Counter(label for example in self.examples for label in example.labels)
        return {label: counted[label] for label in self.labels}

    def targets(self, example: Example) -> tuple[int, ...]:
        """Class indices of an example, ascending."""
        return tuple(sorted(self.labels.index(label) for label in example.labels))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the sorted keys, labels and parts; it does not change when the whole folder is moved."""
        rows = sorted(
            (path_within(e.key, self.root), "\x1f".join(sorted(e.labels)), e.split or "") for e in self.examples
        )
        return hashlib.sha256("\n".join("\x1e".join(row) for row in rows).encode()).hexdigest()

    def with_examples(self, examples: Iterable[Example]) -> DataSet:
        """The same classes with other examples."""
        return replace(self, examples=tuple(examples))


def make_data_set(
    name: str, root: str, examples: Iterable[Example], labels: Labels | None, *, own: Labels | None = None
) -> DataSet:
    """Check listed examples and make a data set of them.

    Args:
        name: its name in reports.
        root: where it was opened.
        examples: the listed examples.
        labels: classes that it must fit, such as those of a trained network; every label must be one of them.
        own: the classes in the order that the data set itself prescribes; None sorts them by name.

    Raises:
        DataError: no example, only one class (allowed if examples have times, because all other times are another one), an
            example twice, a part for some examples only, or a class that is not in the train part.
        UnknownName: a label that is not in `labels`.
    """
    listed = tuple(replace(example, labels=tuple(map(composed, example.labels))) for example in examples)
    _check_examples(listed, root)
    if labels is None:
        labels = own or Labels.of(label for example in listed for label in example.labels)
        _check_classes(labels, root, least=1 if any(example.span for example in listed) else 2)
        _check_trainable(listed, root)
        _report_alike(labels, root)
    for label in {label for example in listed for label in example.labels}:
        labels.index(label)
    multi = any(len(example.labels) > 1 for example in listed)
    return DataSet(name, root, listed, labels, multi)


def check_labelled(data: DataSet) -> None:
    """Check that every example has a label, and that there are two classes, for tasks that classify examples.

    Raises:
        DataError: an example without a label, such as a video in which nothing happens, or only one class.
    """
    bare = [path_within(example.key, data.root) for example in data.examples if not example.labels]
    if bare:
        do = "learn where actions are with --task frame or --task segments, or give these videos a class"
        raise DataError(f"{len(bare)} examples have no label", f"{data.root}, {first_few(bare)}", do)
    _check_classes(data.labels, data.root, least=2)


def _check_classes(labels: Labels, root: str, least: int) -> None:
    if not labels:
        raise DataError("no example has a label", root, "give some of them a class")
    if len(labels) < least:
        raise DataError("one class only", f"{root} has {labels[0]!r}", "a classifier needs at least two")


def _check_examples(examples: tuple[Example, ...], root: str) -> None:
    """Check that examples exist, are unique and have a part either all or none."""
    if not examples:
        raise DataError("no examples", root, "give videos with labels, such as DATA/CLASS/*.mp4")
    counted = Counter(replace(example, path=absolute_path(example)).key for example in examples)
    twice = [path_within(key, os.path.abspath(root)) for key, count in counted.items() if count > 1]
    if twice:
        do = "write several labels of one file in one row, as a;b, or give each row its start and end"
        raise DataError(f"{len(twice)} examples are listed twice", f"{root}, {first_few(twice)}", do)
    missing = [example.key for example in examples if example.split is None]
    if missing and len(missing) < len(examples):
        do = "give every example a part (train, valid or test) or none of them"
        raise DataError(f"{len(missing)} of {len(examples)} examples have no part", f"{root}, {first_few(missing)}", do)


def _check_trainable(examples: tuple[Example, ...], root: str) -> None:
    """Check that every class has a training example: a class without one is most often a misspelt folder."""
    trained = {label for example in examples if example.split == "train" for label in example.labels}
    if not trained:
        return
    for example in examples:
        for label in example.labels:
            if label not in trained:
                near = UnknownName("class", label, trained).near
                question = f"Did you mean {' or '.join(near)}? Otherwise " if near else ""
                what = f"class {label!r} of the {example.split} part is not in the train part"
                raise DataError(what, root, f"{question}add examples of it to train")


def _report_alike(labels: Labels, root: str) -> None:
    """Warn of classes that are probably one: their names differ in case, spaces and signs only."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups["".join(filter(str.isalnum, label.casefold())) or label].append(label)
    alike = [" and ".join(names) for names in groups.values() if len(names) > 1]
    if alike:
        _log.warning("%s: classes whose names differ in case or signs only: %s", root, first_few(alike))


def absolute_path(example: Example) -> str:
    """The absolute path of an example's file: the same for `a.mp4`, `./a.mp4` and `/videos/a.mp4`."""
    return os.path.abspath(example.path)


def check_listed(paths: Iterable[str], source: str) -> None:
    """Check that listed files exist.

    Raises:
        DataError: counts those that do not, and names the first.
    """
    listed = list(paths)
    missing = [path for path in listed if not os.path.exists(path)]
    if missing:
        do = "correct the paths (they are relative to the folder of the list) or remove the rows"
        if near := _similar_file(missing[0]):
            do = f"Did you mean {path_within(near, source)}? Otherwise {do}"
        elif "://" in (name := path_within(missing[0], source)) or ":/" in name:  # normpath makes one slash of two
            do = "an address is not read: download the videos and write their paths"
        what = f"{len(missing)} of {len(listed)} listed files do not exist"
        raise DataError(what, f"{source}, {first_few(path_within(path, source) for path in missing)}", do)


def _similar_file(path: str) -> str | None:
    """A file in the same folder that has the same name in other letters, with or without an ending; None if there is none."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name.lower())[0]
    names = sorted(os.listdir(folder or ".")) if os.path.isdir(folder or ".") else []
    same = [entry for entry in names if os.path.splitext(entry.lower())[0] == stem]
    return os.path.join(folder, same[0]) if same else None


def first_few(names: Iterable[str], most: int = 3) -> str:
    """The first few names, and the number of the others: `a, b, c and 7 more`."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def path_within(key: str, root: str) -> str:
    """A key or path relative to the data set's folder, with forward slashes; unchanged if it lies elsewhere."""
    folder = root if os.path.isdir(root) else os.path.dirname(root)
    prefix = os.path.join(folder, "")
    return key.removeprefix(prefix).replace(os.sep, "/")
