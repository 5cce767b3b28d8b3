"""Boxes from a file in place of a detector: MOT (.txt), AVA (.csv), and the JSON of `kinema detect`.

Identities in the file are kept. AVA's boxes are shares of the frame; a box outside of 0 to 1 is an error: it means pixels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinema.datasets.located_boxes import read_box_rows
from kinema.errors import DataError
from kinema.tracks import FrameBoxes, Track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.types import VideoInfo

ENDINGS = (".csv", ".txt", ".json", ".jsonl")

_SLACK = 1e-3
"""How far rounded shares may lie outside of 0 to 1."""

_KNOWN = "give MOT (.txt), AVA (.csv) or the JSON of `kinema detect`"


@dataclass(frozen=True, slots=True)
class BoxRow:
    """A box of a file.

    Args:
        video: its name without an ending; empty in MOT files, which are about one video.
        frame: its number from 0; None if the file has times.
        time_s: its time; NaN if the file has numbers.
        box: left, top, right, bottom.
        in_shares: whether the box is in shares of the frame, not in pixels.
        score: 1 if the file has none.
        id: of the person; None if the file has none.
        where: file and line.
    """

    video: str
    frame: int | None
    time_s: float
    box: tuple[float, ...]
    in_shares: bool
    score: float
    id: int | None
    where: str

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.box, self.score))):
            raise DataError("a coordinate or score is not a finite number", self.where, "write numbers")
        left, top, right, bottom = self.box
        if left >= right or top >= bottom:
            raise DataError(f"no box: {_listed(self.box)}", self.where, "it needs left < right and top < bottom")
        if self.in_shares and (min(self.box) < -_SLACK or max(self.box) > 1 + _SLACK):
            do = "AVA's boxes are shares of width and height: divide pixels by them, or write MOT (.txt)"
            raise DataError(f"a box outside of 0 to 1: {_listed(self.box)}: pixels?", self.where, do)


@dataclass(frozen=True, slots=True)
class KeptBoxes:
    """The boxes of a file, by video."""

    name: str
    rows: Mapping[str, Sequence[BoxRow]]

    def tracks_of(self, info: VideoInfo, times_s: NDArray[np.float64]) -> tuple[list[FrameBoxes], list[Track]]:
        """Boxes of a video that have no identity, by frame and with empty frames, and tracks of those that have one.

        Args:
            info: of the video.
            times_s: [n] display time of each frame.

        Raises:
            DataError: the file has no box of this video, or one outside of its frames or times.
        """
        stem = Path(info.path).stem
        rows = self.rows.get(stem, self.rows.get(""))
        if rows is None:
            do = f"it has boxes of {', '.join(sorted(self.rows)[:5]) or 'no video'}"
            raise DataError(f"no boxes of the video {stem!r}", self.name, do)
        placed = [_placed(row, info, times_s) for row in rows]
        named = {row.id: None for row in placed if row.id is not None}
        tracks = [_track(number, [row for row in placed if row.id == number], times_s) for number in named]
        free: dict[int, list[BoxRow]] = {}
        for row in placed:
            if row.id is None:
                free.setdefault(row.frame or 0, []).append(row)
        first, last = (min(free), max(free)) if free else (0, -1)
        frames = [_frame(index, free.get(index, []), times_s) for index in _steps(first, last, sorted(free))]
        return frames, tracks


def _steps(first: int, last: int, listed: Sequence[int]) -> range:
    """The frames in which boxes were looked for: every frame, or every n-th if the file has only those."""
    return range(first, last + 1, max(int(np.gcd.reduce(np.diff(listed))), 1) if len(listed) > 1 else 1)


def _placed(row: BoxRow, info: VideoInfo, times_s: NDArray[np.float64]) -> BoxRow:
    """The row with its frame, and with a box in pixels."""
    frame = row.frame
    if frame is None:
        if not -1e-3 <= row.time_s <= info.duration_s + 1e-3:
            do = "times count from the start of the video: subtract the start of the clip"
            raise DataError(f"{row.time_s:g} s is outside of the video ({info.duration_s:.1f} s)", row.where, do)
        frame = int(np.clip(np.searchsorted(times_s, row.time_s + 1e-4, side="right") - 1, 0, len(times_s) - 1))
    if not 0 <= frame < len(times_s):
        do = f"the video has {len(times_s)} frames"
        raise DataError("a frame that the video does not have", row.where, do)
    sides = np.tile([info.width, info.height], 2) if row.in_shares else np.ones(4)
    return replace(row, frame=frame, box=tuple((np.array(row.box) * sides).tolist()), in_shares=False)


def _frame(index: int, rows: Sequence[BoxRow], times_s: NDArray[np.float64]) -> FrameBoxes:
    boxes = np.array([row.box for row in rows], np.float64).reshape(-1, 4)
    return FrameBoxes(index, float(times_s[index]), boxes, np.array([row.score for row in rows], np.float64))


def _track(number: int, rows: Sequence[BoxRow], times_s: NDArray[np.float64]) -> Track:
    by_frame: dict[int, BoxRow] = {}
    for row in rows:
        first = by_frame.setdefault(row.frame or 0, row)
        if first.box != row.box:  # AVA has a row for each label of a person, with the same box
            do = "give each person another number; in AVA, write scores with a decimal point, as 1.0"
            raise DataError(f"person {number} has two boxes in one frame", row.where, do)
    frames = np.array(sorted(by_frame), np.int64)
    boxes = np.array([by_frame[frame].box for frame in frames.tolist()])
    return Track(number, times_s[frames], frames, boxes, np.array([by_frame[frame].score for frame in frames.tolist()]))


def read_boxes(path: str) -> KeptBoxes:
    """Read a file of boxes.

    Args:
        path: MOT (.txt), AVA (.csv), or the JSON of `kinema detect`, one document or one a line.

    Raises:
        DataError: the file cannot be read, or a row is wrong; says which one.
    """
    read = {".txt": _read_mot, ".csv": _read_ava}.get(Path(path).suffix.lower(), _read_json)
    rows: dict[str, list[BoxRow]] = {}
    for row in read(path):
        rows.setdefault(row.video, []).append(row)
    if not rows:
        raise DataError("there is no box in this file", path, _KNOWN)
    return KeptBoxes(path, rows)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read these boxes", path, _KNOWN) from error


def _read_mot(path: str) -> Iterator[BoxRow]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        where, cells = f"{path}, line {number}", line.replace(",", " ").split()
        try:
            frame, identity, left, top, width, height, score = map(float, [*cells, "1"][:7])
        except ValueError as error:
            raise DataError("not a box", where, "MOT: frame,id,left,top,width,height,score") from error
        if not float(frame).is_integer() or frame < 1:
            raise DataError("frames of MOT are numbered from 1", where, "give whole numbers")
        if score == 0:  # MOT marks boxes that are not to be judged so
            continue
        box, known = (left, top, left + width, top + height), int(identity) if identity >= 0 else None
        yield BoxRow("", int(frame) - 1, math.nan, box, False, 1.0 if score < 0 else score, known, where)


def _read_ava(path: str) -> Iterator[BoxRow]:
    rows = [row for row in read_box_rows(path) if row.box is not None]
    last = [row.extra for row in rows if row.extra]
    has_ids = bool(last) and all(cell.isdecimal() for cell in last)
    for row in rows:
        assert row.box is not None
        try:
            value = float(row.extra or 1)
        except ValueError as error:
            raise DataError(f"{row.extra!r} is no score", row.where, "write a number") from error
        score, known = (1.0, int(value)) if has_ids and row.extra else (value, None)
        yield BoxRow(row.video, None, row.stamp_s, row.box, True, score, known, row.where)


def _read_json(path: str) -> Iterator[BoxRow]:
    text, do = _text(path), "give the output of `kinema detect --json`"
    try:
        documents = [json.loads(text)]
    except ValueError:
        try:
            documents = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise DataError("not JSON", path, do) from error
    for document in documents:
        try:
            for track in document["tracks"] if "error" not in document else ():
                for place, found in enumerate(track["boxes"], start=1):
                    where = f"{path}: {document['path']}, track {track['id']}, box {place}"
                    left, top, right, bottom = map(float, found["box"])
                    yield BoxRow(
                        Path(document["path"]).stem, int(found["frame"]), math.nan, (left, top, right, bottom), False,
                        float(found["score"]), int(track["id"]), where,
                    )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("no tracks in this document", path, do) from error


def _listed(box: Sequence[float]) -> str:
    return ", ".join(f"{side:g}" for side in box)
