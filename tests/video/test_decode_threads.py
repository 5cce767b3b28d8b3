from __future__ import annotations

import pytest

from kinema.video import decode_threads, open_video


@pytest.mark.parametrize(
    ("pixels", "work", "cores", "expected"),
    [
        (6000, 700_000, 4, 8),
        (6000, 700_000, 2, 4),
        (6000, 700_000, 16, 8),
        (6000, 700_000, 1, 1),
        (7000, 700_000, 4, 1),
        (6000, 800_000, 4, 1),
    ],
)
def test_threads_by_the_size_of_frames_and_video(counting_video, monkeypatch, pixels, work, cores, expected):
    monkeypatch.setattr(decode_threads, "_MIN_PIXELS", pixels)
    monkeypatch.setattr(decode_threads, "_MIN_WORK", work)
    monkeypatch.setattr(decode_threads, "num_cores", lambda: cores)
    with open_video(counting_video) as video:  # 120 frames of 96 x 64 = 6144 pixels
        assert video._decoder._codec.thread_count == expected
