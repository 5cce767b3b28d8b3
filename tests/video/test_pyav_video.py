"""Threads are started where they pay: for large frames, and many of them."""

from __future__ import annotations

import pytest

from kinema.video import open_video
from kinema.video import pyav_video as film


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
def test_threads_by_the_size_of_frames_and_film(counting_video, monkeypatch, pixels, work, cores, expected):
    monkeypatch.setattr(film, "_THREADED_PIXELS", pixels)
    monkeypatch.setattr(film, "_THREADED_WORK", work)
    monkeypatch.setattr(film, "num_cores", lambda: cores)
    with open_video(counting_video) as video:  # 120 frames of 96 x 64 = 6144 pixels
        assert video._codec.thread_count == expected


def test_threads_asked_for_are_taken(counting_video):
    with open_video(counting_video, threads=3) as video:
        assert video._codec.thread_count == 3
