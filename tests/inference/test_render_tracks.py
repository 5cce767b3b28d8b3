from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageColor

from kinema.inference.render_tracks import TrackPainter, colour_of, render_tracks
from kinema.predictions import Segment
from kinema.tracks import Track, VideoTracks
from kinema.types import TimeSpan, VideoInfo
from kinema.video import VideoWriter, open_video


@pytest.fixture
def video(tmp_path) -> VideoTracks:
    """One person who is found twice in two seconds, in a grey video of 60 x 100."""
    path = tmp_path / "grey.mp4"
    with VideoWriter(path, 5, (60, 100)) as writer:
        for _ in range(10):
            writer.write(np.full((60, 100, 3), 90, np.uint8))
    boxes = np.array([[20, 30, 40, 55], [40, 30, 60, 55]], float)
    track = Track(2, np.array([0.0, 1.0]), np.array([0, 5]), boxes, np.array([0.5, 0.7]))
    return VideoTracks(VideoInfo(str(path), 10, 5.0, 2.0, 60, 100), (track,), 10, "hand", 0.5, 0.7)


def test_a_box_has_the_colour_of_its_person_and_moves_between_detections(video):
    grey = np.full((60, 100, 3), 90, np.uint8)
    painter, colour = TrackPainter(video), np.array(ImageColor.getrgb(colour_of(2)))
    assert (painter.paint(grey, 0.0)[50, 20] == colour).all()
    assert (painter.paint(grey, 0.5)[50, 30] == colour).all()
    assert (painter.paint(grey, 1.5) == grey).all()


def test_labels_stand_above_the_box(video):
    grey = np.full((60, 100, 3), 90, np.uint8)
    labelled = replace(video.tracks[0], labels=(Segment(TimeSpan(0, 0.5), "walk", 0.9),))
    painter = TrackPainter(replace(video, tracks=(labelled,), classes=("run", "walk")))
    assert (painter.paint(grey, 0.2) != painter.paint(grey, 0.2) * 0).any()
    assert [text for text, _ in painter._lines(labelled, 0.2)] == ["person 2  54%", "walk 90%"]
    assert [text for text, _ in painter._lines(labelled, 0.7)] == ["person 2  64%"]


def test_the_written_video_has_all_frames(video, tmp_path):
    written: list[int] = []
    render_tracks(video, tmp_path / "out.mp4", written.append)
    with open_video(str(tmp_path / "out.mp4")) as out:
        assert (out.info.num_frames, out.info.width, sum(written)) == (10, 100, 10)
