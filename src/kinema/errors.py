"""Every error that kinema raises on purpose, drawn as a tree.

KinemaError                 anything below; the command line prints it as one line and leaves with `exit_status`
├── UsageError              the request itself is wrong (a name, an option, a combination): exit status 2
│   ├── UnknownName         no network, data set, label, key … of that name; says the nearest ones
│   │   └── UnknownClass    no class of that name in a data set or a network
│   └── ConfigError         a configuration file or value cannot be used
├── VideoError              a file, camera or stream cannot be read or written
│   ├── UnreadableVideo     not a video, damaged, or no picture track in it
│   └── EmptyVideo          a video without a single frame
├── DataError               a data set cannot be listed, split or trained on
│   └── TooManyBroken       more examples were lost than the run allows
├── Diverged                training leads nowhere: its gradients are no longer numbers
├── CheckpointError         a checkpoint is missing, damaged or made for something else
│   └── DownloadError       published weights cannot be fetched
├── OutputError             a result could not be written (no space, no permission, exists already)
└── MissingExtra            an optional package is needed for this; says which extra to install
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping


class KinemaError(Exception):
    """Base of all errors raised on purpose. `what: where: what to do`, on one line.

    Args:
        what: what went wrong, in a few words.
        where: the file, key or option concerned.
        do: what the user can do about it.
    """

    exit_status = 1

    def __init__(self, what: str, where: object = "", do: str = "") -> None:
        self.what, self.where, self.do = what, str(where), do
        super().__init__(what, self.where, do)

    def __str__(self) -> str:
        parts = (self.what, self.where, self.do)
        lines = ": ".join(part for part in parts if part).splitlines()
        return " ".join(line.strip() for line in lines if line.strip())  # one line; spaces within it may be a path's


class UsageError(KinemaError):
    """The request itself cannot be carried out as it stands."""

    exit_status = 2


class UnknownName(UsageError):
    """A name that is not among the known ones.

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
        self.args = (kind, name, names, do)  # what pickle calls the class with


class UnknownClass(UnknownName):
    """A class name that a data set or a network does not have."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three names that look like `name`: the best one, and those that are nearly as good.

    >>> nearest("resnt50", ["resnet50", "resnet5", "c3d"])
    ['resnet50']
    """
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    alike = [difflib.SequenceMatcher(None, other, name).ratio() for other in near]
    return [other for other, ratio in zip(near, alike, strict=True) if ratio > alike[0] - 0.08]


class ConfigError(UsageError):
    """A configuration file, key or value cannot be used."""


def check_settings(values: Mapping[str, float | None], least: float, most: float = math.inf) -> None:
    """Make sure that numbers lie in a range; None is one that was not given.

    Args:
        values: by the name of the setting, such as batch_size.
        least: the smallest that is allowed.
        most: the greatest that is allowed.

    Raises:
        ConfigError: names the option, as --batch-size.
    """
    for name, value in values.items():
        if value is not None and not least <= value <= most:  # not a number is in no range
            wanted = f"must be at least {least:g}" if math.isinf(most) else f"must lie between {least:g} and {most:g}"
            raise ConfigError(f"--{name.replace('_', '-')} {wanted}", value, "give another number")


class VideoError(KinemaError):
    """A file, camera or stream cannot be read or written."""


class UnreadableVideo(VideoError):
    """Not a video, damaged before its first frame, or no picture track in it."""


class EmptyVideo(VideoError):
    """A video without a single frame."""


class DataError(KinemaError):
    """A data set cannot be listed, split or trained on."""


class TooManyBroken(DataError):
    """More examples could not be read than the run allows to lose."""


def check_broken(broken: Mapping[str, str], number: int, most: float, kind: str = "examples") -> None:
    """Make sure that a run has not lost too many examples.

    Args:
        broken: why each could not be read, by its name.
        number: how many examples there are, with the broken ones.
        most: the share of them that may be broken.
        kind: what they are called.

    Raises:
        TooManyBroken: more are; names the first.
    """
    if len(broken) > most * number:
        raise TooManyBroken(
            f"{len(broken)} of {number} {kind} cannot be read", next(iter(broken)),
            "mend them, leave them out with `kinema check DATA --out manifest.csv`, or raise --max-broken",
        )  # fmt: skip


class Diverged(KinemaError):
    """Training leads nowhere: loss or gradients are no longer numbers."""


class CheckpointError(KinemaError):
    """A checkpoint is missing, damaged, or made for something else."""


class DownloadError(CheckpointError):
    """Published weights cannot be fetched: offline, not there, broken off, or not what they should be."""


class OutputError(KinemaError):
    """A result could not be written."""


class MissingExtra(KinemaError):
    """An optional package is needed.

    >>> str(MissingExtra("Parquet manifests", "pyarrow", "parquet"))
    "Parquet manifests need the package pyarrow: pip install 'kinema[parquet]'"
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} need the package {package}", do=f"pip install 'kinema[{extra}]'")
        self.args = (purpose, package, extra)
