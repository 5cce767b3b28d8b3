"""BORIS's behaviours: a project (.boris), and its exports of tabular or aggregated events as TSV or CSV.

State events, which have a start and a stop, are actions; their class is the behaviour. Point events have no length and are
refused. Starts and stops belong together if observation, subject, behaviour and modifiers are the same. Times count from the
beginning of the video, so the observation's time offset is subtracted. The video is found by its path or beside the file.

A project also holds observations without events: videos in which nothing happens. If an observation plays several files one
after the other, only the project says how long they are; of several players at once, the first one counts.

Friard and Gamba 2016, "BORIS: a free, versatile open-source event-logging software"; https://www.boris.unito.it
"""

from __future__ import annotations

import json
import math
import os
import re
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from kinema.datasets.action_list import ActionList, find_media, missing_media
from kinema.datasets.dataset import DataSet
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import walk
from kinema.datasets.tables import Row, read_table, read_text
from kinema.errors import DataError

_MEDIA = ("Media file name", "Media file path", "Media file", "Source")
_NO_MEDIA = {"", "NA", "Not found"}
_HEAD = re.compile(r"(?:^|[\t,;])\"?Behavior\"?[\t,;]", re.MULTILINE)
_OFFSET = re.compile(r"^\"?Time offset \(s\)\"?[\t,;]\"?(-?[\d.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Event:
    """One line: `kind` is START, STOP or POINT; events with the same `key` belong together."""

    time_s: float
    kind: str
    behaviour: str
    key: tuple[str, ...]
    where: str


def find_files(path: str, depth: int | None = None) -> list[str]:
    """The projects and exports at a path, which is one or a folder, and in folders below it, all or `depth` levels."""
    if os.path.isfile(path):
        return [path] if _is_boris(path) else []
    found = (os.path.join(where, name) for where, _, names in walk(path, depth) for name in names)
    return [file for file in found if _is_boris(file)]


def list_boris(path: str, options: ListOptions) -> DataSet:
    """Read a project or an export, or all of a folder.

    Raises:
        DataError: a file cannot be read, a video does not exist, or an event is a point or has no partner; says which.
    """
    files = find_files(path)
    if not files:
        do = "give a .boris project, or export events as TSV: Observations, Export events"
        raise DataError("no BORIS files", path, do)
    actions = ActionList(path, options)
    for file in files:
        (_add_project if file.lower().endswith(".boris") else _add_table)(actions, file, options)
    return actions.data_set(Path(path).stem)


def _is_boris(path: str) -> bool:
    if path.lower().endswith(".boris"):
        return True
    if not path.lower().endswith((".tsv", ".csv")):
        return False
    try:
        text = read_text(path)[:20_000]
    except (OSError, UnicodeDecodeError, DataError):
        return False
    return (
        bool(_HEAD.search(text)) and "Subject" in text and ("START" in text or "Start (s)" in text or "POINT" in text)
    )


def _add_table(actions: ActionList, path: str, options: ListOptions) -> None:
    rows = read_table(path, column="Behavior")
    note = _OFFSET.search(read_text(path))
    paths: dict[str, str] = {}
    events: list[_Event] = []
    for row in rows:
        observation = row.get("Observation id", "")
        try:
            name = _media_of(row)
            if paths.setdefault(observation, name) != name:
                do = "export one observation for each file, or give the .boris project, which has their lengths"
                raise DataError(
                    "an observation of several files, whose times do not say where in a file", row.where, do
                )
            video = _find_video(name, path, row.where)
            actions.add_video(video)
            offset_s = _seconds(row.get("Time offset (s)") or (note[1] if note else "0"), row.where)
            if "Start (s)" in row:
                _add_aggregated(actions, video, row, offset_s)
            else:
                events.append(_event_of(row, video, offset_s))
        except DataError as fault:
            options.report(fault)
    for event, end_s in _paired(events, options):
        actions.add(event.key[0], event.behaviour, event.time_s, end_s, event.where)


def _media_of(row: Row) -> str:
    """The file of a row; a list of sources is written `player #1:a.mp4;b.mp4|player #2:c.mp4`."""
    name = next((row[column] for column in _MEDIA if row.get(column, "") not in _NO_MEDIA), "")
    if not name:
        raise DataError("an event without a media file", row.where, "export observations of videos, not live ones")
    return re.sub(r"^player #1:", "", name).partition("|")[0]


def _event_of(row: Row, video: str, offset_s: float) -> _Event:
    kind, behaviour = row.get("Behavior type") or row.get("Status", ""), row["Behavior"]
    modifiers = (value for name, value in row.items() if name.startswith("Modifier"))
    key = (video, row.get("Observation id", ""), row.get("Subject", ""), behaviour, *modifiers)
    return _Event(_seconds(row.get("Time", ""), row.where) - offset_s, kind.upper(), behaviour, key, row.where)


def _add_aggregated(actions: ActionList, video: str, row: Row, offset_s: float) -> None:
    if row.get("Behavior type", "").upper() == "POINT":
        raise _point(row["Behavior"], row.where)
    start_s, end_s = (_seconds(row.get(name, ""), row.where) - offset_s for name in ("Start (s)", "Stop (s)"))
    actions.add(video, row["Behavior"], start_s, end_s, row.where)


def _paired(events: Iterable[_Event], options: ListOptions) -> Iterator[tuple[_Event, float]]:
    """Each start with the time of its stop; points and events without a partner are faults."""
    started: dict[tuple[str, ...], _Event] = {}
    for event in events:
        if event.kind == "START" and event.key not in started:
            started[event.key] = event
        elif event.kind == "STOP" and event.key in started:
            yield started.pop(event.key), event.time_s
        else:
            options.report(_point(event.behaviour, event.where) if event.kind == "POINT" else _single(event))
    for event in started.values():
        options.report(_single(event))


def _point(behaviour: str, where: str) -> DataError:
    do = "code it as a state event, export without it, or leave it out with `kinema check DATA --out manifest.csv`"
    return DataError(f"a point event has no length: {behaviour!r}", where, do)


def _single(event: _Event) -> DataError:
    missing = {"START": "a start without a stop", "STOP": "a stop without a start"}
    what = missing.get(event.kind, f"neither START, STOP nor POINT but {event.kind!r}")
    do = "mend it in BORIS: Observations, Check state events"
    return DataError(f"{what}: {event.behaviour!r}", event.where, do)


def _seconds(text: object, where: str) -> float:
    try:
        return float(str(text))
    except ValueError as error:
        raise DataError(f"not a time in seconds: {text!r}", where, "export times in seconds") from error


def _find_video(name: str, path: str, where: str) -> str:
    found = find_media([name], os.path.dirname(path))
    if found is None:
        raise missing_media(name, where)
    return found


def _add_project(actions: ActionList, path: str, options: ListOptions) -> None:
    try:
        project = json.loads(read_text(path))
        kinds = {entry["code"]: entry["type"] for entry in project["behaviors_conf"].values()}
        observations = project["observations"].items()
    except json.JSONDecodeError as error:
        raise DataError("broken JSON", f"{path}, line {error.lineno}", f"{error.msg}: save it again") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError("not a BORIS project", path, "save it again with BORIS 7 or later") from error
    for name, observation in observations:
        where = f"{path}: {name}"
        try:
            if observation["type"] != "MEDIA":
                raise DataError("an observation without a video", where, "export or copy the project without it")
            _add_observation(actions, observation, kinds, where, options)
        except DataError as fault:
            options.report(fault)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            options.report(DataError("not an observation of BORIS", where, f"{error!r}: save the project again"))


def _add_observation(actions: ActionList, values: Any, kinds: dict[str, str], where: str, options: ListOptions) -> None:
    """Add the events of an observation, which is JSON as it was read; the caller reports what is missing in it."""
    if values.get("media_creation_date_as_offset"):
        raise DataError("times are dates", where, "switch off the media creation date as offset in BORIS")
    names, lengths = values["file"]["1"], values.get("media_info", {}).get("length", {})
    videos = [_find_video(name, where.rpartition(": ")[0], where) for name in names]
    starts_s = [0.0, *accumulate(float(lengths[name]) for name in names[:-1]), math.inf]
    for video in videos:
        actions.add_video(video)
    for event, end_s in _paired(_project_events(values, kinds, where, options), options):
        place = bisect(starts_s, event.time_s) - 1
        if place < 0 or end_s > starts_s[place + 1]:
            fault = DataError("an action that begins and ends in different files", event.where, "end it with its file")
            options.report(fault)
            continue
        begin_s = starts_s[place]
        actions.add(videos[place], event.behaviour, event.time_s - begin_s, end_s - begin_s, event.where)


def _project_events(values: Any, kinds: dict[str, str], where: str, options: ListOptions) -> Iterator[_Event]:
    """The events of an observation by time. A project does not say which is a start: every second one of a key is a stop."""
    offset_s = float(values.get("time offset") or 0)
    begun: set[tuple[str, ...]] = set()
    for number, event in sorted(enumerate(values["events"], 1), key=lambda item: (item[1][0], item[0])):
        time_s, subject, behaviour, modifiers = event[:4]
        place, key = f"{where}, event {number}", (str(subject), behaviour, str(modifiers))
        if behaviour not in kinds:
            options.report(
                DataError(f"a behaviour that is not in the ethogram: {behaviour!r}", place, "add it in BORIS")
            )
            continue
        kind = "POINT" if kinds[behaviour].lower().startswith("point") else "STOP" if key in begun else "START"
        begun ^= {key}
        yield _Event(_seconds(time_s, place) - offset_s, kind, behaviour, key, place)


FORMAT = Format(list_data=list_boris, detect=lambda path: bool(find_files(path, depth=0)), priority=57)
