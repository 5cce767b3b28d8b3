"""Optical flow as channels: how it is made, and which flow a network accepts."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.clips.flow import channels_at, check_flow
from kinema.errors import UsageError
from kinema.types import InputSpec

FLOW = InputSpec(clip_len=2, size=(32, 32), mean=(128 / 255,) * 2, std=(127 / 255,) * 2, modality="flow")

BOTH = FLOW.with_(mean=(0.5,) * 3 + FLOW.mean, std=(0.2,) * 3 + FLOW.std, modality="rgb+flow")


def test_channels_are_those_of_the_network(draw_count):
    video = np.stack([draw_count(index) for index in range(5)])
    read = []

    def frames_of(numbers):
        read.extend(numbers.tolist())
        return video[numbers]

    wanted = np.array([3, 0, 4, 3])
    both = channels_at(wanted, 5, BOTH, frames_of)
    assert read == [0, 1, 3, 4]
    assert both.shape == (4, 64, 96, 5)
    assert np.array_equal(both[..., :3], video[wanted])
    assert np.array_equal(both[0], both[3])
    assert np.array_equal(both[0][..., 3:], both[2][..., 3:])  # the last frame takes the motion of the one before
    assert np.array_equal(channels_at(wanted, 5, FLOW, frames_of), both[..., 3:])


def test_another_methods_flow_is_refused():
    check_flow(FLOW, "dis")
    check_flow(FLOW, None)
    with pytest.raises(UsageError, match="learned from dis flow"):
        check_flow(FLOW, "farneback")
    with pytest.raises(UsageError, match="sees RGB only"):
        check_flow(InputSpec(), "dis")
