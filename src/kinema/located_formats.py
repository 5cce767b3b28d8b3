"""Files of located actions that other programs read: ActivityNet, FiftyOne, ELAN, BORIS.

Times are in seconds from the start of the video, exact to a millisecond. ActivityNet and FiftyOne have one file for all videos,
ELAN and BORIS one for each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from kinema import formats
from kinema.errors import OutputError
from kinema.predictions import Prediction, Segment

_YOUTUBE = re.compile(r"v_(?P<id>[\w-]{11})")
"""ActivityNet's files have the names of its videos with `v_` in front."""


def activitynet(predictions: Iterable[Prediction]) -> dict[str, object]:
    """A submission to ActivityNet's evaluation, which THUMOS' and many others' tools take too.

    A video is called as its file without the ending; `v_` in front of an 11 characters long name of YouTube is left out.

    Raises:
        OutputError: two videos have the same name.
    """
    results: dict[str, list[dict[str, object]]] = {}
    for prediction in predictions:
        stem = Path(prediction.path).stem
        found = _YOUTUBE.fullmatch(stem)
        name = found["id"] if found else stem
        if name in results:
            raise OutputError("two videos have the same name in a submission", prediction.path, "rename one of them")
        results[name] = [
            {"label": one.label, "score": round(one.score, 6), "segment": [_ms(one.span.start_s), _ms(one.span.end_s)]}
            for one in sorted(prediction.segments, key=lambda one: -one.score)
        ]
    return {"version": "VERSION 1.3", "results": results, "external_data": {}}


def fiftyone(named: Mapping[str, Prediction], labels: Sequence[str]) -> tuple[dict[str, object], dict[str, str]]:
    """`labels.json` and `data.json` of a FiftyOneTemporalDetectionDataset.

    Args:
        named: predictions by the name of their video, unique and without an ending.
        labels: all classes.

    Returns:
        the segments by name, and the paths of the videos by name with an ending, which FiftyOne leaves out.
    """
    segments = {
        name: [
            {
                "label": one.label,
                "timestamps": [_ms(one.span.start_s), _ms(one.span.end_s)],
                "confidence": round(one.score, 6),
            }
            for one in prediction.segments
        ]
        for name, prediction in named.items()
    }
    videos = {
        f"{name}{Path(prediction.path).suffix or '.video'}": os.path.abspath(prediction.path)
        for name, prediction in named.items()
    }
    return {"classes": list(labels), "labels": segments}, videos


BORIS_COLUMNS = (
    "Observation id", "Observation date", "Description", "Observation type", "Source", "Time offset (s)",
    "Coding duration", "Media duration (s)", "FPS (frame/s)", "Subject", "Observation duration by subject by observation",
    "Behavior", "Behavioral category", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Media file name",
    "Image index start", "Image index stop", "Image file path start", "Image file path stop", "Comment start",
    "Comment stop",
)  # fmt: skip
"""Columns of BORIS's export of aggregated events (version 8 and 9), without modifiers."""


def boris(prediction: Prediction) -> str:
    """Aggregated events as BORIS exports them, tab separated: a state event a segment, its score as the comment of its start."""
    path = os.path.abspath(prediction.path)
    length = _ms(prediction.span.duration_s)
    rows = []
    for segment in prediction.segments:
        start_s, end_s = _ms(segment.span.start_s), _ms(segment.span.end_s)
        values = {
            "Observation id": Path(path).stem, "Observation type": "Media file(s)", "Source": f"player #1:{path}",
            "Time offset (s)": 0.0, "Coding duration": length, "Media duration (s)": length, "FPS (frame/s)": "NA",
            "Subject": "No focal subject", "Observation duration by subject by observation": length,
            "Behavior": segment.label, "Behavior type": "STATE", "Start (s)": start_s, "Stop (s)": end_s,
            "Duration (s)": _ms(end_s - start_s), "Media file name": path, "Image index start": "NA",
            "Image index stop": "NA", "Image file path start": "NA", "Image file path stop": "NA",
            "Comment start": f"score {segment.score:.4f}",
        }  # fmt: skip
        rows.append([values.get(name, "") for name in BORIS_COLUMNS])
    return formats.table_csv(BORIS_COLUMNS, rows, "\t", exact=True)


def elan(prediction: Prediction, made: datetime | None = None) -> str:
    """An ELAN document (EAF 3.0) with a tier for each label that has a segment; EAF has no scores.

    Annotations of one tier cannot overlap: overlapping segments of a label are in further tiers, `LABEL (2)` and so on.

    Args:
        prediction: the segments.
        made: date of the document; None is now.
    """
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT", AUTHOR="kinema", DATE=(made or datetime.now(UTC)).isoformat(timespec="seconds"),
        FORMAT="3.0", VERSION="3.0",
    )  # fmt: skip
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    tiers = _tiers(prediction.segments)
    _add_header(root, Path(os.path.abspath(prediction.path)), sum(len(tier) for tier in tiers.values()))
    order = _child(root, "TIME_ORDER")
    times = sorted({time for tier in tiers.values() for start, end, _ in tier for time in (start, end)})
    slots = {time: f"ts{number}" for number, time in enumerate(times, 1)}
    for time, slot in slots.items():
        _child(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    number = 0
    for name, tier in tiers.items():
        shown = _child(root, "TIER", LINGUISTIC_TYPE_REF="action", TIER_ID=_xml(name))
        for start, end, label in tier:
            number += 1
            annotation = _child(
                _child(shown, "ANNOTATION"), "ALIGNABLE_ANNOTATION",
                ANNOTATION_ID=f"a{number}", TIME_SLOT_REF1=slots[start], TIME_SLOT_REF2=slots[end],
            )  # fmt: skip
            _child(annotation, "ANNOTATION_VALUE").text = _xml(label)
    _child(root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID="action", TIME_ALIGNABLE="true")
    ElementTree.indent(root, "    ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


_child = ElementTree.SubElement


def _add_header(root: ElementTree.Element, video: Path, count: int) -> None:
    """The video, and the number of annotations."""
    header = _child(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    relative = f"./{_xml(video.name)}"
    _child(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=video.as_uri(), MIME_TYPE=_mime_type(video), RELATIVE_MEDIA_URL=relative
    )
    _child(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(count)


def _tiers(segments: Iterable[Segment]) -> dict[str, list[tuple[int, int, str]]]:
    """Start and end in milliseconds and label of the annotations of each tier, so that none of a tier overlap."""
    by_label: dict[str, list[list[tuple[int, int, str]]]] = {}
    for segment in sorted(segments, key=lambda one: one.span):
        start = round(segment.span.start_s * 1000)
        annotation = (start, max(round(segment.span.end_s * 1000), start + 1), segment.label)
        tiers = by_label.setdefault(segment.label, [])
        free = next((tier for tier in tiers if tier[-1][1] <= start), None)
        if free is None:
            tiers.append([annotation])
        else:
            free.append(annotation)
    named: dict[str, list[tuple[int, int, str]]] = {}
    for label, tiers in by_label.items():
        for number, tier in enumerate(tiers, 1):
            name = label if number == 1 else f"{label} ({number})"
            while (name in by_label and number > 1) or name in named:
                name += "'"
            named[name] = tier
    return named


_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


_MIME_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mpg": "video/mpeg"}


def _mime_type(path: Path) -> str:
    return _MIME_TYPES.get(path.suffix.lower(), "video/*")


def _ms(seconds: float) -> float:
    """Seconds, exact to a millisecond."""
    return round(seconds, 3)
