"""Frames of a damaged group come in order, each once, and are converted at once."""

from __future__ import annotations

import av
import numpy as np

from kinema.video.frames_in_order import frames_in_order
from kinema.video.packets import IndexSet


def numbers(batches, wanted, convert=lambda index, frame: index):
    frame = av.VideoFrame(16, 16, "yuv420p")
    given = ([(index, frame) for index in batch] for batch in batches)
    return [index for index, *_ in frames_in_order(given, IndexSet(np.array(wanted)), convert)]


def test_frames_out_of_order_are_put_in_order():
    assert numbers([[2], [0, 1], [4], [3]], range(5)) == [0, 1, 2, 3, 4]


def test_a_frame_that_comes_too_late_or_twice_is_left_out():
    late = [[index] for index in range(1, 30)]
    assert numbers([*late, [0], [29]], range(30)) == list(range(1, 30))


def test_only_wanted_frames_are_converted():
    converted = []
    convert = lambda index, frame: converted.append(index)  # noqa: E731
    assert numbers([[3], [1], [2], [0]], [1, 3], convert) == [1, 3]
    assert converted == [3, 1]


def test_unwanted_frames_decide_what_is_too_late_too():
    late = [[index] for index in range(1, 30)]
    assert numbers([*late, [0]], [0, 5]) == [5]
