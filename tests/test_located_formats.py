from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pytest

from kinema.errors import OutputError
from kinema.located_formats import BORIS_COLUMNS, activitynet, boris, elan, fiftyone
from kinema.predictions import Prediction, Segment
from kinema.types import TimeSpan

LABELS = ("wave", "jump", 'say "hi" & <go>')
SEGMENTS = (
    Segment(TimeSpan(0.0, 2.0404), "wave", 0.9),
    Segment(TimeSpan(1.5, 3.25), "jump", 0.5),
    Segment(TimeSpan(1.75, 2.5), "wave", 0.4),
    Segment(TimeSpan(4.0, 4.0002), LABELS[2], 0.7),
)
PREDICTION = Prediction("films/a b.mp4", LABELS, np.zeros(3, np.float32), TimeSpan(0, 5), None, SEGMENTS)
NOTHING = replace(PREDICTION, path="films/none.mp4", segments=())


def test_a_submission_has_each_video_even_one_without_segments():
    document = activitynet([PREDICTION, NOTHING])
    assert set(document) == {"version", "results", "external_data"}
    assert document["results"]["none"] == []
    best = document["results"]["a b"][0]
    assert best == {"label": "wave", "score": 0.9, "segment": [0.0, 2.04]}
    scores = [one["score"] for one in document["results"]["a b"]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("path", "name"), [("v_0dkIbKXXFzI.mp4", "0dkIbKXXFzI"), ("v_long.mp4", "v_long"), ("x/video.1.mkv", "video.1")]
)
def test_names_of_videos_are_those_of_the_benchmark(path, name):
    assert list(activitynet([replace(NOTHING, path=path)])["results"]) == [name]


def test_two_videos_of_one_name_are_no_submission():
    with pytest.raises(OutputError, match="same name"):
        activitynet([PREDICTION, replace(PREDICTION, path="other/a b.mov")])


def test_fiftyone_finds_the_video_of_each_list_of_segments(tmp_path):
    labels, videos = fiftyone({"x/a b.1": PREDICTION, "none": NOTHING}, LABELS)
    without_endings = {name.rpartition(".")[0] for name in videos}  # as its importer looks for them
    assert set(labels["labels"]) == without_endings
    assert all(path.startswith("/") for path in videos.values())
    assert labels["classes"] == list(LABELS)
    assert labels["labels"]["x/a b.1"][0] == {"label": "wave", "timestamps": [0.0, 2.04], "confidence": 0.9}


def test_boris_has_a_state_event_a_segment():
    rows = list(csv.DictReader(io.StringIO(boris(PREDICTION)), delimiter="\t"))
    assert tuple(rows[0]) == BORIS_COLUMNS
    assert [row["Behavior"] for row in rows] == [segment.label for segment in SEGMENTS]
    assert [(float(row["Start (s)"]), float(row["Stop (s)"])) for row in rows[:2]] == [(0.0, 2.04), (1.5, 3.25)]
    assert all(
        float(row["Duration (s)"]) == pytest.approx(float(row["Stop (s)"]) - float(row["Start (s)"])) for row in rows
    )
    assert {row["Behavior type"] for row in rows} == {"STATE"}


def test_elan_has_the_order_of_its_schema_and_no_overlap_in_a_tier():
    text = elan(PREDICTION, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    root = ElementTree.fromstring(text)
    assert root.tag == "ANNOTATION_DOCUMENT"
    assert {"DATE", "AUTHOR", "VERSION", "FORMAT"} <= set(root.attrib)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", root.attrib["DATE"])
    order = [child.tag for child in root]
    assert order == ["HEADER", "TIME_ORDER", *["TIER"] * (len(order) - 3), "LINGUISTIC_TYPE"]
    slots = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    kind = root.find("LINGUISTIC_TYPE").attrib["LINGUISTIC_TYPE_ID"]
    ids, found = set(), []
    for tier in root.iter("TIER"):
        assert tier.attrib["LINGUISTIC_TYPE_REF"] == kind
        end = -1
        for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
            times = [slots[annotation.attrib[f"TIME_SLOT_REF{place}"]] for place in (1, 2)]
            assert end <= times[0] < times[1]
            end = times[1]
            ids.add(annotation.attrib["ANNOTATION_ID"])
            found.append((annotation.findtext("ANNOTATION_VALUE"), times[0]))
    assert len(ids) == len(SEGMENTS)
    assert sorted(found) == sorted((one.label, round(one.span.start_s * 1000)) for one in SEGMENTS)
    assert len({tier.attrib["TIER_ID"] for tier in root.iter("TIER")}) == 4


def test_labels_that_look_like_further_tiers_get_names_of_their_own():
    spans = [Segment(TimeSpan(0, 2), label, 1.0) for label in ("a", "a", "a (2)")]
    root = ElementTree.fromstring(elan(replace(PREDICTION, segments=tuple(spans))))
    names = [tier.attrib["TIER_ID"] for tier in root.iter("TIER")]
    assert len(set(names)) == 3


def test_characters_that_xml_cannot_hold_are_replaced():
    odd = replace(PREDICTION, segments=(Segment(TimeSpan(0, 1), "a\x07b", 1.0),))
    assert next(ElementTree.fromstring(elan(odd)).iter("ANNOTATION_VALUE")).text == "a\N{REPLACEMENT CHARACTER}b"


def test_nothing_found_is_a_document_too():
    assert ElementTree.fromstring(elan(NOTHING)).find("TIER") is None
    assert boris(NOTHING).count("\n") == 1
