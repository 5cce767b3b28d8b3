import json
from xml.etree import ElementTree

import numpy as np
import pytest

from kinema.predictions import Segment
from kinema.track_formats import label_map, to_text
from kinema.tracks import Track, VideoTracks
from kinema.types import TimeSpan, VideoInfo


@pytest.fixture
def video() -> VideoTracks:
    """Two persons in a video of 200 x 100; the first one walks, and is away from 0.1 to 2 s."""
    labels = (Segment(TimeSpan(0, 0.15), "walk", 0.75), Segment(TimeSpan(0, 0.05), "talk", 0.875))
    first = Track(
        1,
        np.array([0.0, 0.1, 2.0]),
        np.array([0, 1, 20]),
        np.array([[20, 10, 60, 90]] * 3, float),
        np.array([0.5, 0.6, 0.7]),
        labels,
    )  # fmt: skip
    second = Track(2, np.array([0.1]), np.array([1]), np.array([[-10, 0, 30, 50]], float), np.array([0.9]))
    info = VideoInfo("films/one.mp4", 30, 10.0, 3.0, 100, 200)
    return VideoTracks(info, (first, second), 30, "hand", 0.5, 0.9, ("talk", "walk"))


def test_ava_has_a_row_for_each_label_in_shares_of_the_frame(video):
    lines = to_text(video, "ava").splitlines()
    assert lines[:3] == [
        "one,0.000,0.10000,0.10000,0.30000,0.90000,1,0.8750",
        "one,0.000,0.10000,0.10000,0.30000,0.90000,2,0.7500",
        "one,0.100,0.10000,0.10000,0.30000,0.90000,2,0.7500",
    ]
    assert lines[3:] == [
        "one,2.000,0.10000,0.10000,0.30000,0.90000,,0.7000",
        "one,0.100,0.00000,0.00000,0.15000,0.50000,,0.9000",
    ]
    assert label_map(video.classes).splitlines()[1:3] == ['  name: "talk"', "  id: 1"]


def test_mot_is_sorted_by_frame_and_counts_from_one(video):
    lines = to_text(video, "mot").splitlines()
    assert [line.split(",")[:2] for line in lines] == [["1", "1"], ["2", "1"], ["2", "2"], ["21", "1"]]
    assert lines[0] == "1,1,20.00,10.00,40.00,80.00,0.5000,-1,-1,-1"


def test_coco_has_an_image_for_each_frame_with_a_person(video):
    document = json.loads(to_text(video, "coco"))
    assert [image["frame"] for image in document["images"]] == [0, 1, 20]
    assert [found["image_id"] for found in document["annotations"]] == [1, 2, 2, 3]
    assert document["annotations"][0]["bbox"] == [20, 10, 40, 80]
    assert document["annotations"][0]["labels"] == ["talk", "walk"]


def test_cvat_hides_a_person_who_is_away(video):
    tracks = ElementTree.fromstring(to_text(video, "cvat")).findall("track")
    shown = [[(int(box.get("frame")), box.get("outside")) for box in track.findall("box")] for track in tracks]
    assert shown == [[(0, "0"), (1, "0"), (2, "1"), (20, "0"), (21, "1")], [(1, "0"), (2, "1")]]
    assert tracks[0].find("box/attribute").text == "talk, walk"


def test_json_is_the_document(video):
    assert json.loads(to_text(video, "json"))["tracks"][1]["boxes"][0]["frame"] == 1
