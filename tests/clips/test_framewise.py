"""Which clip answers for which frame."""

import numpy as np
import pytest

from kinema.clips.framewise import plan_steps, step_plan
from kinema.clips.windows import WindowOptions
from kinema.errors import CheckpointError
from kinema.models import build
from kinema.types import InputSpec

SPEC = InputSpec(clip_len=4)


def plan(num_frames: int, causal: bool = True, spec: InputSpec = SPEC, **options: float):
    times_s = np.arange(num_frames) / 10
    return plan_steps(spec, times_s, num_frames / 10, WindowOptions(**options), causal=causal)


def test_a_causal_network_answers_where_most_of_the_clip_has_gone_by():
    windows = plan(8)
    assert windows.frames.tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    assert windows.steps.tolist() == [[0, 1, 2, 3], [-1, -1, 4, 5], [-1, -1, 6, 7]]


def test_one_that_looks_both_ways_answers_far_from_the_ends():
    assert plan(8, causal=False).steps.tolist() == [[0, 1, 2, -1], [-1, 3, 4, -1], [-1, 5, 6, 7]]


@pytest.mark.parametrize("num_frames", [1, 3, 4, 5, 9, 30])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("step_s", [None, 0.1, 0.3, 5.0])
def test_every_frame_is_answered_for_once(num_frames, causal, step_s):
    windows = plan(num_frames, causal, step_s=step_s)
    answered = windows.steps[windows.steps >= 0]
    assert sorted(answered.tolist()) == list(range(num_frames))
    assert (windows.frames[windows.steps >= 0] == answered).all()
    assert len(windows.spans_s) == num_frames


def test_rows_last_until_the_next_and_the_last_until_the_end():
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


def test_a_network_that_cannot_answer_at_each_frame_is_refused():
    with pytest.raises(CheckpointError, match="cannot answer at each frame"):
        step_plan(build("slow_fusion_tiny", num_classes=2))
    with pytest.raises(CheckpointError, match="cannot answer at each frame"):
        step_plan(build("conv_rnn_small", num_classes=2))
    assert step_plan(build("conv_rnn_small", num_classes=2, spec={"sampling": "dense"}))


def test_a_held_last_frame_is_answered_for_to_its_end():
    windows = plan_steps(SPEC.with_(fps=10.0), np.arange(5) / 10, 1.0)
    assert windows.spans_s[:, 0].tolist() == pytest.approx((np.arange(10) / 10).tolist())
    assert windows.frames.max() == 4
