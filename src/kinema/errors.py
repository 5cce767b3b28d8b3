"""All errors that kinema raises on purpose, as a tree.

KinemaError                 base of all; the command line prints it as one line and exits with `exit_status`
├── UsageError              the request is wrong (a name, an option, a combination): exit status 2
│   ├── UnknownName         no network, data set, label, key … of that name; suggests similar ones
│   │   └── UnknownClass    no class of that name in a data set or a network
│   └── ConfigError         a configuration file or value cannot be used
├── VideoError              a file, camera or stream cannot be read or written
│   ├── UnreadableVideo     not a video, damaged, or no video track in it
│   └── EmptyVideo          a video without a single frame
├── DataError               a data set cannot be listed, split or trained on
│   └── TooManyBroken       more examples could not be read than the run allows
├── Diverged                training diverged: loss or gradients are not finite
├── CheckpointError         a checkpoint is missing, damaged or for another network
│   └── DownloadError       published weights cannot be downloaded
├── OutputError             a result cannot be written (no space, no permission, exists already)
└── MissingExtra            an optional package is needed; says which extra to install
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class KinemaError(Exception):
    """Base of all errors. Its text is `what: where: what to do`, on one line.

    Args:
        what: what went wrong, in a few words.
        where: the file, key or option.
        do: what the user can do about it.
    """

    exit_status = 1

    def __init__(self, what: str, where: object = "", do: str = "") -> None:
        self.what, self.where, self.do = what, str(where), do
        super().__init__(what, self.where, do)

    def __str__(self) -> str:
        parts = (self.what, self.where, self.do)
        lines = ": ".join(part for part in parts if part).splitlines()
        # Spaces inside a line stay: they may be part of a path.
        return " ".join(line.strip() for line in lines if line.strip())


class UsageError(KinemaError):
    """The request is wrong and cannot be carried out."""

    exit_status = 2


class UnknownName(UsageError):
    """A name that is not known.

    >>> str(UnknownName("network", "r2plus1d_81", ["r2plus1d_18", "c3d"]))
    "no network called 'r2plus1d_81': Did you mean r2plus1d_18?"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], do: str = "") -> None:
        names = list(known)
        self.near = nearest(name, names)
        if self.near:
            do = f"Did you mean {' or '.join(self.near)}?"
        elif not do:
            do = f"known: {', '.join(sorted(names)[:40])}"
        super().__init__(f"no {kind} called {name!r}", do=do)
        self.args = (kind, name, names, do)  # pickle calls the class with these


Options = TypeVar("Options", bound="DataclassInstance")


def with_options(options: Options, overrides: Mapping[str, object]) -> Options:
    """A copy of options with some fields changed.

    Raises:
        UnknownName: there is no such field; says the nearest.
    """
    known = [field.name for field in fields(options)]
    for name in overrides:
        if name not in known:
            raise UnknownName("option", name, known)
    return replace(options, **overrides)


class UnknownClass(UnknownName):
    """A class name that a data set or a network does not have."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three names that are similar to `name`: the most similar one, and those that are nearly as similar.

    >>> nearest("resnt50", ["resnet50", "resnet5", "resnext", "c3d"])
    ['resnet50', 'resnet5']
    """
    near = difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0.5)
    ratios = [difflib.SequenceMatcher(None, other, name).ratio() for other in near]
    return [other for other, ratio in zip(near, ratios, strict=True) if ratio > ratios[0] - 0.08]


class ConfigError(UsageError):
    """A configuration file, key or value cannot be used."""


def check_settings(values: Mapping[str, float | None], least: float, most: float = math.inf) -> None:
    """Check that numbers, by the name of their setting such as batch_size, lie in the closed range from `least` to `most`.

    None, for a number that was not given, is allowed.

    Raises:
        ConfigError: a number out of range; names the option, as --batch-size.
    """
    for name, value in values.items():
        if value is not None and not least <= value <= most:  # NaN is in no range
            wanted = f"must be at least {least:g}" if math.isinf(most) else f"must lie between {least:g} and {most:g}"
            raise ConfigError(f"--{name.replace('_', '-')} {wanted}", value, "give another number")


class VideoError(KinemaError):
    """A file, camera or stream cannot be read or written."""


class UnreadableVideo(VideoError):
    """Not a video, damaged before its first frame, or no video track in it."""


class EmptyVideo(VideoError):
    """A video without a single frame."""


class DataError(KinemaError):
    """A data set cannot be listed, split or trained on."""


class TooManyBroken(DataError):
    """More examples could not be read than the run allows."""


def check_broken(broken: Mapping[str, str], number: int, most: float, kind: str = "examples") -> None:
    """Check that not too many examples of a run could not be read.

    `broken` has reasons by the name of the example, `number` counts all examples, including the broken ones. `most` is the
    share of them that may be broken, and `kind` the word for them in the message.

    Raises:
        TooManyBroken: more are broken; names the first.
    """
    if len(broken) > most * number:
        raise TooManyBroken(
            f"{len(broken)} of {number} {kind} cannot be read", next(iter(broken)),
            "repair them, leave them out with `kinema check DATA --out manifest.csv`, or raise --max-broken",
        )  # fmt: skip


class Diverged(KinemaError):
    """Training diverged: loss or gradients are not finite."""


class CheckpointError(KinemaError):
    """A checkpoint is missing, damaged, or for another network."""


class DownloadError(CheckpointError):
    """Published weights cannot be downloaded: offline, missing, interrupted, or with a wrong checksum."""


class OutputError(KinemaError):
    """A result cannot be written."""


class MissingExtra(KinemaError):
    """An optional package is needed.

    >>> str(MissingExtra("Parquet manifests", "pyarrow", "parquet"))
    "Parquet manifests need the package pyarrow: pip install 'kinema[parquet]'"
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} need the package {package}", do=f"pip install 'kinema[{extra}]'")
        self.args = (purpose, package, extra)


def lacks_memory(error: BaseException) -> bool:
    """Whether Python's, torch's or OpenVINO's error says that there is not enough memory."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in ("out of memory", "can't allocate"))


def known_error(error: BaseException) -> KinemaError | None:
    """An error of kinema, of the system or for lack of memory in a user's words; None for any other."""
    if isinstance(error, OSError):
        what = (error.strerror or str(error)).lower()
        return KinemaError(what, error.filename or "", "check the path and the free space")
    if lacks_memory(error):
        return KinemaError("not enough memory", "", "give a smaller --batch-size, --clip-len or --size")
    return error if isinstance(error, KinemaError) else None
