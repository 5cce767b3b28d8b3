from __future__ import annotations

import numpy as np
import pytest

from kinema.inference.render import Painter, render
from kinema.video import open_video


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
        assert video.info.duration_s == pytest.approx(vfr_times_s[-1], abs=0.2)


def test_band_and_ribbon_change_with_the_label_and_the_frame_above_stays(prediction) -> None:
    painter = Painter(prediction, (240, 320))
    frame = np.full((240, 320, 3), 100, np.uint8)
    early, late = painter.paint(frame, 0.5), painter.paint(frame, 3.5)
    assert (early[:180] == 100).all()
    assert not np.array_equal(early[-40:], late[-40:])
    assert (frame == 100).all()
    assert not np.array_equal(early[-2, 40], early[-2, 280])  # two segments, two colours


def test_a_long_label_is_shortened_not_cut_off(prediction) -> None:
    from PIL import Image, ImageDraw, ImageFont

    from kinema.inference.render import _fitted

    draw, font = ImageDraw.Draw(Image.new("RGB", (10, 10))), ImageFont.load_default(12)
    text = _fitted("a very long label indeed", 60, draw, font)
    assert text.endswith("…")
    assert draw.textlength(text, font) <= 60
    assert _fitted("short", 60, draw, font) == "short"
