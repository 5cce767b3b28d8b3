from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinema.inference.render import Painter, SegmentPainter, fitted, render, text_width
from kinema.predictions import Segment
from kinema.types import TimeSpan
from kinema.video import VideoWriter, open_video


@pytest.fixture
def prediction(make_predictor, two_part_film):
    return make_predictor()(two_part_film)


def test_the_video_keeps_its_length_rate_and_size(prediction, tmp_path) -> None:
    render(prediction, tmp_path / "out.mp4")
    with open_video(tmp_path / "out.mp4") as video:
        assert (video.info.num_frames, video.info.height, video.info.width) == (100, 32, 48)
        assert video.info.fps == pytest.approx(25)


def test_uneven_frames_keep_their_times(make_predictor, vfr_video, vfr_times_s, read_count, tmp_path) -> None:
    render(make_predictor()(vfr_video), tmp_path / "out.mp4")
    with open_video(tmp_path / "out.mp4") as video:
        np.testing.assert_allclose(video.times_s, vfr_times_s, atol=0.002)


def test_band_and_ribbon_change_with_the_label_and_the_frame_above_stays(prediction) -> None:
    painter = Painter(prediction, (240, 320))
    frame = np.full((240, 320, 3), 100, np.uint8)
    early, late = painter.paint(frame, 0.5), painter.paint(frame, 3.5)
    assert (early[:180] == 100).all()
    assert not np.array_equal(early[-40:], late[-40:])
    assert (frame == 100).all()
    assert not np.array_equal(early[-2, 40], early[-2, 280])  # two segments, two colours


def test_a_long_label_is_shortened_not_cut_off() -> None:
    text = fitted("a very long label indeed", 60, 12)
    assert text.endswith("…")
    assert text_width(text, 12) <= 60
    assert fitted("short", 60, 12) == "short"


def test_the_pixel_aspect_is_kept(make_predictor, tmp_path) -> None:
    source, target = tmp_path / "wide.mp4", tmp_path / "out.mp4"
    with VideoWriter(source, 25, (32, 48), pixel_aspect=16 / 11) as writer:
        for _ in range(60):
            writer.write(np.full((32, 48, 3), 200, np.uint8))
    render(make_predictor()(source), target)
    with open_video(target) as video:
        assert video.pixel_aspect == pytest.approx(16 / 11, abs=0.01)


@pytest.mark.parametrize("label", ["$x^2$ \\frac", "100 % <b>", "a\nb\x1b[31m"])
def test_any_label_can_be_drawn(prediction, label) -> None:
    labels = (label, prediction.labels[1])
    timeline = replace(prediction.timeline, labels=labels)
    named = replace(prediction, labels=labels, timeline=timeline, segments=())
    painter = Painter(named, (120, 160))
    frame = np.zeros((120, 160, 3), np.uint8)
    assert not np.array_equal(painter.paint(frame, 0.1), frame)


def test_segments_are_named_where_they_are_and_nothing_where_there_is_none(prediction, tmp_path) -> None:
    spans = ((0.0, 2.0, "dark"), (1.0, 2.5, "light"))
    segments = tuple(Segment(TimeSpan(start_s, end_s), label, 0.9) for start_s, end_s, label in spans)
    located = replace(prediction, segments=segments, timeline=None)
    painter = SegmentPainter(located, (240, 320))
    frame = np.full((240, 320, 3), 100, np.uint8)
    strips = [painter.paint(frame, time_s)[170:220] for time_s in (0.5, 1.5, 2.2, 3.0)]
    assert all((one != other).any() for place, one in enumerate(strips) for other in strips[place + 1 :])
    assert (strips[3][35:] == strips[3][35, 0]).all()  # the band alone
    SegmentPainter(replace(located, segments=()), (240, 320)).paint(frame, 1.0)
    render(located, tmp_path / "out.mp4", painter=SegmentPainter)
    with open_video(tmp_path / "out.mp4") as video:
        assert video.info.num_frames == 100
