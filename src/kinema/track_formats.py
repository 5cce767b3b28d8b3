"""Tracks as text in the formats of other programs: AVA CSV, MOT, COCO and CVAT. Imports no torch.

Frames are numbered from 0 in COCO and CVAT and from 1 in MOT; AVA has times in seconds and boxes in shares of the frame. Only
frames in which a person was found are written; CVAT fills the frames between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from kinema import formats
from kinema.text import json_line

if TYPE_CHECKING:
    from kinema.choices import TrackFileFormat
    from kinema.tracks import Track, VideoTracks

PERSON = "person"
_GAP_S = 1.0
"""A person who is not found for longer is out of sight in CVAT."""


def to_text(video: VideoTracks, kind: TrackFileFormat) -> str:
    """The tracks of a video as text in one of the formats."""
    write: Mapping[str, Callable[[VideoTracks], str]] = {"ava": ava, "mot": mot, "coco": coco, "cvat": cvat}
    return write[kind](video) if kind in write else json_line(video.to_json()) + "\n"


def ava(video: VideoTracks) -> str:
    """Rows of video, time, left, top, right, bottom in shares, label number from 1, and score, without a heading.

    A box has a row for each label at its time, with the label's score. Boxes without a label have one row, with an empty label.
    """
    rows: list[list[str]] = []
    sides = np.tile([video.info.width, video.info.height], 2)
    for track, place in _boxes(video):
        time_s, box = float(track.times_s[place]), (track.boxes[place] / sides).clip(0, 1)
        labels = _labels_at(track, time_s) or [("", float(track.scores[place]))]
        for label, score in labels:
            number = video.classes.index(label) + 1 if label in video.classes else ""
            shares = [f"{side:.5f}" for side in box]
            rows.append([Path(video.path).stem, f"{time_s:.3f}", *shares, str(number), f"{score:.4f}"])
    return "".join(formats.table_csv(row, []) for row in rows)


def label_map(classes: Sequence[str]) -> str:
    """The names of AVA's label numbers, as ActivityNet's program reads them."""
    return "".join(
        f"item {{\n  name: {json_line(name)}\n  id: {number}\n}}\n" for number, name in enumerate(classes, 1)
    )


def mot(video: VideoTracks) -> str:
    """Lines of frame from 1, id, left, top, width, height, score, and three times -1, as MOTChallenge takes them."""
    lines = []
    for track, place in sorted(_boxes(video), key=lambda found: (int(found[0].frames[found[1]]), found[0].id)):
        left, top, right, bottom = track.boxes[place]
        sides = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
        lines.append(f"{track.frames[place] + 1},{track.id},{sides},{track.scores[place]:.4f},-1,-1,-1\n")
    return "".join(lines)


def coco(video: VideoTracks) -> str:
    """A COCO document: an image for each frame with a person, and an annotation for each box, with its score and track."""
    info, stem = video.info, Path(video.path).stem
    numbers: dict[int, int] = {}
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for track, place in sorted(_boxes(video), key=lambda found: (int(found[0].frames[found[1]]), found[0].id)):
        frame, time_s = int(track.frames[place]), float(track.times_s[place])
        if frame not in numbers:
            numbers[frame] = len(numbers) + 1
            name = f"{stem}_{frame:06d}.jpg"
            size = {"width": info.width, "height": info.height}
            images.append(
                {
                    "id": numbers[frame],
                    "file_name": name,
                    **size,
                    "video": info.path,
                    "frame": frame,
                    "time_s": round(time_s, 3),
                }
            )
        left, top, right, bottom = (round(float(side), 2) for side in track.boxes[place])
        width, height = round(right - left, 2), round(bottom - top, 2)
        annotations.append(
            {
                "id": len(annotations) + 1, "image_id": numbers[frame], "category_id": 1,
                "bbox": [left, top, width, height], "area": round(width * height, 2), "iscrowd": 0,
                "score": round(float(track.scores[place]), 4), "track_id": track.id,
                "labels": [label for label, _ in _labels_at(track, time_s)],
            }
        )  # fmt: skip
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": PERSON}]}
    return json_line(document) + "\n"


def cvat(video: VideoTracks) -> str:
    """CVAT for video 1.1: a track for each person; the attribute "labels" holds what the person does."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    for name, value in (("name", Path(video.path).name), ("size", video.info.num_frames), ("mode", "interpolation")):
        ElementTree.SubElement(task, name).text = str(value)
    size = ElementTree.SubElement(task, "original_size")
    ElementTree.SubElement(size, "width").text = str(video.info.width)
    ElementTree.SubElement(size, "height").text = str(video.info.height)
    for track in video.tracks:
        entry = ElementTree.SubElement(root, "track", id=str(track.id), label=PERSON, source="auto")
        ends = np.append(np.diff(track.times_s) > _GAP_S, True)
        for place, is_end in enumerate(ends.tolist()):
            frame = int(track.frames[place])
            _add_box(entry, track, place, frame, outside=False)
            if is_end and frame + 1 < video.info.num_frames:
                _add_box(entry, track, place, frame + 1, outside=True)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _add_box(entry: ElementTree.Element, track: Track, place: int, frame: int, *, outside: bool) -> None:
    sides = zip(("xtl", "ytl", "xbr", "ybr"), (f"{side:.2f}" for side in track.boxes[place]), strict=True)
    fixed = {"frame": str(frame), "outside": str(int(outside)), "occluded": "0", "keyframe": "1", "z_order": "0"}
    box = ElementTree.SubElement(entry, "box", {**fixed, **dict(sides)})
    labels = ", ".join(label for label, _ in _labels_at(track, float(track.times_s[place])))
    ElementTree.SubElement(box, "attribute", name="labels").text = labels


def _boxes(video: VideoTracks) -> Iterator[tuple[Track, int]]:
    """Each track and the places of its boxes."""
    return ((track, place) for track in video.tracks for place in range(len(track)))


def _labels_at(track: Track, time_s: float) -> Sequence[tuple[str, float]]:
    """Labels and their scores at a time, the best first."""
    there = [(s.label, s.score) for s in track.labels if s.span.start_s <= time_s < s.span.end_s]
    return sorted(there, key=lambda found: -found[1])
