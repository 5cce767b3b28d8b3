"""Which clip gives the scores of which frame."""

import numpy as np
import pytest

from kinema.clips.framewise import plan_frames
from kinema.clips.windows import WindowOptions
from kinema.types import InputSpec

SPEC = InputSpec(clip_len=4)


def plan(num_frames: int, causal: bool = True, spec: InputSpec = SPEC, **options: float):
    times_s = np.arange(num_frames) / 10
    return plan_frames(spec, times_s, num_frames / 10, WindowOptions(**options), causal=causal)


def test_a_causal_network_scores_a_frame_in_the_clip_with_most_frames_before_it():
    windows = plan(8)
    assert windows.frames.tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    assert windows.frame_owner.tolist() == [[0, 1, 2, 3], [-1, -1, 4, 5], [-1, -1, 6, 7]]


def test_a_bidirectional_network_scores_frames_far_from_the_ends_of_a_clip():
    assert plan(8, causal=False).frame_owner.tolist() == [[0, 1, 2, -1], [-1, 3, 4, -1], [-1, 5, 6, 7]]


@pytest.mark.parametrize("num_frames", [1, 3, 4, 5, 9, 30])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("step_s", [None, 0.1, 0.3, 5.0])
def test_every_frame_is_scored_once(num_frames, causal, step_s):
    windows = plan(num_frames, causal, step_s=step_s)
    scored = windows.frame_owner[windows.frame_owner >= 0]
    assert sorted(scored.tolist()) == list(range(num_frames))
    assert (windows.frames[windows.frame_owner >= 0] == scored).all()
    assert len(windows.spans_s) == num_frames


def test_a_frame_lasts_until_the_next_and_the_last_one_until_the_end():
    windows = plan(6, spec=SPEC.with_(frame_stride=2))
    assert windows.frames.tolist() == [[0, 2, 4, 4]]
    assert windows.spans_s.tolist() == pytest.approx(np.array([[0.0, 0.2], [0.2, 0.4], [0.4, 0.6]]))


def test_a_rate_of_its_own_repeats_and_skips_frames():
    windows = plan(10, spec=SPEC.with_(fps=5.0))
    assert windows.frames.tolist() == [[0, 2, 4, 6], [2, 4, 6, 8]]
    assert windows.spans_s[:, 0].tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    doubled = plan(3, spec=SPEC.with_(fps=20.0))
    assert doubled.frames[0].tolist() == [0, 0, 1, 1]
    assert (np.diff(doubled.spans_s) > 0).all()


def test_a_long_last_frame_is_scored_to_its_end():
    windows = plan_frames(SPEC.with_(fps=10.0), np.arange(5) / 10, 1.0)
    assert windows.spans_s[:, 0].tolist() == pytest.approx((np.arange(10) / 10).tolist())
    assert windows.frames.max() == 4
