"""Times that follow from a network's input."""

from __future__ import annotations

import pytest

from kinema.inference.live.types import clip_span_s, frame_interval_s, goes_frame_by_frame
from kinema.models import build
from kinema.types import InputSpec


def test_streaming_networks_go_frame_by_frame():
    assert goes_frame_by_frame(build("causal_small", num_classes=2))
    assert not goes_frame_by_frame(build("slow_fusion_tiny", num_classes=2))


@pytest.mark.parametrize(
    ("spec", "span_s", "interval_s"),
    [
        (InputSpec(clip_len=4, frame_stride=2), None, None),
        (InputSpec(clip_len=4, frame_stride=2, fps=10.0), 0.6, 0.2),
        (InputSpec(clip_len=4, sampling="spread", window_s=1.2), 1.2, 0.3),
        (InputSpec(clip_len=4, sampling="spread"), 2.0, 0.5),
    ],
)
def test_times_between_frames_follow_from_the_rate_or_the_window(spec, span_s, interval_s):
    assert clip_span_s(spec) == (None if span_s is None else pytest.approx(span_s))
    assert frame_interval_s(spec) == (None if interval_s is None else pytest.approx(interval_s))


def test_a_clip_of_one_frame_is_the_newest_frame() -> None:
    assert clip_span_s(InputSpec(clip_len=1, sampling="spread", window_s=2.0)) == 0.0
    assert clip_span_s(InputSpec(clip_len=1, sampling="dense", fps=25)) == 0.0
