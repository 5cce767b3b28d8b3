"""A data set: labelled examples, listed but not decoded, with its classes and parts."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kinema.errors import DataError, UnknownName
from kinema.labels import Labels, composed
from kinema.types import Example

PARTS = ("train", "valid", "test")

_SPELLINGS = {
    "train": ("train", "training", "train_set"),
    "valid": ("valid", "val", "validation", "validate", "dev", "eval"),
    "test": ("test", "testing", "test_set"),
}
PART_OF = {spelling: part for part, spellings in _SPELLINGS.items() for spelling in spellings}
"""Common spellings of the three parts, in lower case."""


@dataclass(frozen=True)
class DataSet:
    """Labelled examples and their classes.

    Args:
        name: what to call it in reports.
        root: the folder or file it was opened from.
        examples: what to learn from; their keys are unique.
        labels: the classes in the order of a network's outputs.
        multi_label: whether an example may belong to several classes at once.
    """

    name: str
    root: str
    examples: tuple[Example, ...]
    labels: Labels
    multi_label: bool = False

    def __len__(self) -> int:
        return len(self.examples)

    def part(self, name: str) -> DataSet:
        """Only the examples of one part: "train", "valid" or "test".

        Raises:
            UnknownName: no such part.
            DataError: nothing is in it.
        """
        part = PART_OF.get(name.lower())
        if part is None:
            raise UnknownName("part", name, PARTS)
        examples = tuple(example for example in self.examples if example.split == part)
        if not examples:
            there = ", ".join(self.parts) or "none"
            raise DataError(
                f"no {part} part", self.root, f"parts that it has: {there}; split it first or choose another"
            )
        return self.with_examples(examples)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that some example belongs to, in the order train, valid, test."""
        found = {example.split for example in self.examples}
        return tuple(part for part in PARTS if part in found)

    @property
    def has_parts(self) -> bool:
        """Whether every example says which part it belongs to."""
        return bool(self.examples) and all(example.split is not None for example in self.examples)

    def counts(self) -> dict[str, int]:
        """Examples of each class, in the order of `labels`; those with several labels count for each."""
        counted = Counter(label for example in self.examples for label in example.labels)
        return {label: counted[label] for label in self.labels}

    def targets(self, example: Example) -> tuple[int, ...]:
        """Class indices of an example, ascending."""
        return tuple(sorted(self.labels.index(label) for label in example.labels))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over keys, labels and parts in sorted order; moving the whole folder does not change it."""
        rows = sorted(
            (path_within(e.key, self.root), "\x1f".join(sorted(e.labels)), e.split or "") for e in self.examples
        )
        return hashlib.sha256("\n".join("\x1e".join(row) for row in rows).encode()).hexdigest()

    def with_examples(self, examples: Iterable[Example]) -> DataSet:
        """The same classes with other examples."""
        return replace(self, examples=tuple(examples))


def finish(
    name: str, root: str, examples: Iterable[Example], labels: Labels | None, *, own: Labels | None = None
) -> DataSet:
    """Check a listing and make a data set of it.

    Args:
        name: what to call it.
        root: where it was opened.
        examples: what was listed.
        labels: classes that it has to fit, as those of a trained network; every label must be one of them.
        own: classes in the order that the data set itself prescribes; else they are sorted by name.

    Raises:
        DataError: nothing listed, one class only, an example twice, a part for some examples only, or a class that is
            not in the train part.
        UnknownName: a label that is not in `labels`.
    """
    listed = tuple(replace(example, labels=tuple(map(composed, example.labels))) for example in examples)
    if not listed:
        raise DataError("nothing to learn from", root, "give videos with labels, such as DATA/CLASS/*.mp4")
    _check_unique(listed, root)
    _check_parts(listed, root)
    if labels is None:
        labels = own or Labels.of(label for example in listed for label in example.labels)
        if len(labels) < 2:
            raise DataError("one class only", f"{root} has {labels[0]!r}", "a classifier needs at least two")
        _check_trainable(listed, root)
    for label in {label for example in listed for label in example.labels}:
        labels.index(label)
    multi = any(len(example.labels) > 1 for example in listed)
    return DataSet(name, root, listed, labels, multi)


def _check_unique(examples: tuple[Example, ...], root: str) -> None:
    counted = Counter(replace(example, path=file_of(example)).key for example in examples)
    twice = [path_within(key, os.path.abspath(root)) for key, count in counted.items() if count > 1]
    if twice:
        do = "write several labels of one file in one row, as a;b, or give each row its start and end"
        raise DataError(f"{len(twice)} examples stand there twice", f"{root}, {first_few(twice)}", do)


def _check_parts(examples: tuple[Example, ...], root: str) -> None:
    missing = [example.key for example in examples if example.split is None]
    if missing and len(missing) < len(examples):
        do = "give every example a part (train, valid or test) or none of them"
        raise DataError(f"{len(missing)} of {len(examples)} examples have no part", f"{root}, {first_few(missing)}", do)


def _check_trainable(examples: tuple[Example, ...], root: str) -> None:
    """A class that no training example has can never be predicted: most often it is a misspelt folder."""
    known = {label for example in examples if example.split == "train" for label in example.labels}
    if not known:
        return
    for example in examples:
        for label in example.labels:
            if label not in known:
                near = UnknownName("class", label, known).near
                question = f"Did you mean {' or '.join(near)}? Else " if near else ""
                what = f"class {label!r} of the {example.split} part is not in the train part"
                raise DataError(what, root, f"{question}add examples of it to train")


def file_of(example: Example) -> str:
    """The path of an example's file as all spell it, whether it stands there as `a.mp4`, `./a.mp4` or `/films/a.mp4`."""
    return os.path.abspath(example.path)


def check_listed(paths: Iterable[str], source: str) -> None:
    """Make sure that listed files are there.

    Raises:
        DataError: says how many are not, and the first of them.
    """
    listed = list(paths)
    missing = [path_within(path, source) for path in listed if not os.path.exists(path)]
    if missing:
        do = "correct the paths (they count from the list's own folder) or take the rows out"
        raise DataError(
            f"{len(missing)} of {len(listed)} listed files do not exist", f"{source}, {first_few(missing)}", do
        )


def first_few(names: Iterable[str], most: int = 3) -> str:
    """The first few names, and how many more there are: `a, b, c and 7 more`."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def path_within(key: str, root: str) -> str:
    """A key or path without the data set's folder, with forward slashes."""
    folder = root if os.path.isdir(root) else os.path.dirname(root)
    prefix = os.path.join(folder, "")
    return key.removeprefix(prefix).replace(os.sep, "/")
