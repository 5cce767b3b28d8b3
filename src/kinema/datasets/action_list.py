"""Collects the actions of an annotation file and makes a data set of them. ActivityNet's, BORIS's and ELAN's files share it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kinema.datasets.dataset import DataSet, first_few, make_data_set
from kinema.datasets.format import ListOptions
from kinema.errors import DataError, UnknownClass
from kinema.labels import composed
from kinema.types import Example, TimeSpan

_log = logging.getLogger("kinema")


@dataclass(slots=True)
class _Actions:
    """The labels of each span of a video, with its part and group."""

    part: str | None
    group: str | None
    labels: dict[TimeSpan, list[str]] = field(default_factory=dict)


class ActionList:
    """The videos and actions of annotation files. A video stays even if it has no action.

    Args:
        source: the file or folder, for messages.
        options: `labels` that actions must fit, and what happens to actions that cannot be used.
    """

    def __init__(self, source: str, options: ListOptions) -> None:
        self._source, self._options = source, options
        self._videos: dict[str, _Actions] = {}
        self._doubled: list[str] = []

    def add_video(self, path: str, part: str | None = None, group: str | None = None) -> None:
        """Add a video, unless it is known."""
        self._videos.setdefault(path, _Actions(part, group))

    def add(self, path: str, label: str, start: object, end: object, where: str) -> None:
        """Add an action of a video that was added.

        Args:
            path: of the video.
            label: what happens.
            start: its time in seconds, a number or text; anything else is a fault.
            end: as `start`.
            where: its place in the file, for messages.
        """
        try:
            span = _span(start, end, where)
            if not label:
                raise DataError("an action without a label", where, "name what happens, or remove it")
            if self._options.labels is not None:
                _check_class(label, self._options.labels, where)
        except DataError as fault:
            self._options.report(fault)
            return
        labels = self._videos[path].labels.setdefault(span, [])
        if (label := composed(label)) not in labels:
            labels.append(label)
        elif self._options.faults is None:
            self._doubled.append(where)
        else:
            self._options.report(DataError(f"{label!r} stands twice with the same times", where, "remove one of them"))

    def data_set(self, name: str) -> DataSet:
        """The data set: an example for each span, and one without a label for each video without actions.

        Raises:
            DataError: there is no action at all.
        """
        if self._doubled:
            what = f"{len(self._doubled)} actions stand twice, of which one is used"
            _log.warning("%s: %s: %s", self._source, what, first_few(self._doubled))
        examples: list[Example] = []
        for path, found in self._videos.items():
            spans: Iterable[tuple[TimeSpan | None, Sequence[str]]] = sorted(found.labels.items()) or [(None, ())]
            examples += [Example(path, tuple(labels), span, found.part, found.group) for span, labels in spans]
        return make_data_set(name, self._source, examples, self._options.labels)


def find_media(named: Sequence[str], folder: str) -> str | None:
    """The first existing file among names that an annotation file gives: as written, or a file of that name in `folder`.

    Annotation programs write paths of the machine they ran on, with either slash, so that a folder that was moved or copied
    has its videos beside the annotations only.
    """
    places = [os.path.join(folder, name) for name in named if name]
    places += [os.path.join(folder, os.path.basename(name.replace("\\", "/"))) for name in named if name]
    return next((os.path.normpath(place) for place in places if os.path.isfile(place)), None)


def missing_media(name: str, where: str) -> DataError:
    """The error for a video that an annotation file names and that does not exist."""
    return DataError("the annotated video does not exist", f"{where}: {name}", "put it beside the annotations")


def _span(start: object, end: object, where: str) -> TimeSpan:
    try:
        if isinstance(start, bool) or isinstance(end, bool):
            raise ValueError("truth values")
        span = TimeSpan(*(round(float(time), 6) for time in (start, end)))  # type: ignore[arg-type]
        if span.start_s < 0:
            raise ValueError("a start before the video")
    except (TypeError, ValueError) as error:
        do = "give seconds with 0 <= start < end, or leave it out with `kinema check DATA --out manifest.csv`"
        raise DataError(f"no span: start {start!r}, end {end!r}", where, do) from error
    return span


def _check_class(label: str, labels: Sequence[str], where: str) -> None:
    if composed(label) not in labels:
        error = UnknownClass("class", label, labels)
        raise DataError(error.what, where, error.do)
