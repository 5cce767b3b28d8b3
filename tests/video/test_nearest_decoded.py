"""Each requested frame is replaced by the nearest decoded one at or before it."""

from __future__ import annotations

import av
import numpy as np
import pytest

from kinema.video import open_video
from kinema.video.nearest_decoded import nearest_decoded


@pytest.mark.parametrize(
    ("requested", "expected"),
    [([0], [0]), ([3], [0]), ([4], [4]), ([0, 1, 4, 7], [0, 4]), ([5, 9, 30], [4, 9]), ([2, 8, 11], [0, 4, 9])],
)
def test_only_frames_that_replace_a_requested_one_are_given(requested, expected) -> None:
    frames = {index: av.VideoFrame(16, 16, "gray") for index in (0, 4, 9)}
    found = list(nearest_decoded(np.array(requested), frames.items()))
    assert [index for index, _ in found] == expected
    assert all(frames[index] is frame for index, frame in found)


def test_no_decoded_frame_gives_none() -> None:
    assert list(nearest_decoded(np.array([3, 5]), [])) == []


@pytest.mark.parametrize("how", ["nonref", "keyframes"])
@pytest.mark.parametrize("wanted", [[3], [0, 1, 2, 3], [7, 50, 51, 118, 119], list(range(5, 120, 7))])
def test_the_nearest_frame_at_or_before_is_chosen(counting_video, how, wanted) -> None:
    with open_video(counting_video) as video:
        decoded = np.array([index for index, _ in video.frames_near(np.arange(120), how)])
        found = [index for index, _ in video.frames_near(np.array(wanted), how)]
    assert found == np.unique(decoded[np.searchsorted(decoded, wanted, side="right") - 1]).tolist()
