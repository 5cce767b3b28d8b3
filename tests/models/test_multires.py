"""Context and fovea: what each stream sees and ends in."""

from __future__ import annotations

import torch

from kinema.inspection.summary import summarize
from kinema.models import build_without_weights
from kinema.models.karpathy import stream_input


def test_both_streams_end_7x7x256():
    outputs = {layer.name: layer.output for layer in summarize(build_without_weights("single_frame_multires")).layers}
    assert outputs["towers.context.conv5.conv"] == outputs["towers.fovea.conv5.conv"] == (256, 1, 7, 7)


def test_context_is_the_whole_frame_at_half_size_and_fovea_its_centre():
    clip = torch.arange(8 * 8, dtype=torch.float32).reshape(1, 1, 1, 8, 8)
    assert torch.equal(stream_input("fovea", clip), clip[..., 2:6, 2:6])
    assert stream_input("context", clip).shape == (1, 1, 1, 4, 4)
    assert stream_input("context", clip)[0, 0, 0, 0, 0] == (0 + 1 + 8 + 9) / 4
    assert stream_input("frame", clip) is clip
