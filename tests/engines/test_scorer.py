"""Scorers in torch: precisions, tasks, batches, and networks that stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from kinema import models
from kinema.engines.scorer import Scorer, check_numbers, to_scores, usual_batch
from kinema.errors import CheckpointError, UsageError
from kinema.models.device import resolve_precision
from kinema.types import InputSpec


@pytest.fixture
def network(make_predictor):
    return make_predictor().network


def test_low_precision_gives_nearly_the_same_scores(network) -> None:
    clips = torch.stack([torch.full((3, 4, 16, 16), level, dtype=torch.uint8) for level in range(0, 256, 16)])
    exact = to_scores(Scorer(network, device="cpu", precision="f32")(clips), False)
    rough = to_scores(Scorer(network, device="cpu", precision="bf16")(clips), False)
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, atol=0.02)


def test_scores_of_one_label_sum_to_one_and_of_several_do_not() -> None:
    logits = np.array([[2.0, -1.0, 100.0]], dtype=np.float32)
    assert to_scores(logits, False).sum() == pytest.approx(1)
    assert to_scores(logits, True)[0] == pytest.approx([0.8808, 0.2689, 1.0], abs=1e-4)


def test_unknown_device_and_precision_are_errors(network) -> None:
    with pytest.raises(UsageError, match="device"):
        Scorer(network, device="cuda:99")
    with pytest.raises(UsageError, match="precision"):
        Scorer(network, device="cpu", precision="f8")


def test_auto_precision_is_full_where_the_hardware_is_slow_at_half(monkeypatch) -> None:
    monkeypatch.setattr("kinema.models.device.fast_at_bf16", lambda device: False)
    assert resolve_precision("auto", torch.device("cpu")) == "f32"


def test_task_frame_gives_logits_at_each_frame_and_clip_logits_stay() -> None:
    network = models.build("conv_gru_small", num_classes=3, spec={"clip_len": 4, "size": (32, 32)}).eval()
    clips = torch.randint(0, 256, (2, *network.spec.shape), dtype=torch.uint8)
    by_frame, by_clip = (Scorer(network, task=task, device="cpu", precision="f32") for task in ("frame", "clip"))
    assert by_frame(clips).shape == (2, 4, 3)
    assert by_clip(clips).shape == (2, 3)
    np.testing.assert_array_equal(by_frame.clip_logits(clips), by_clip(clips))


def test_values_that_are_no_numbers_are_an_error() -> None:
    check_numbers(np.array([0.5, -1e30], np.float32), "video.mp4")
    for value in (np.nan, np.inf):
        with pytest.raises(CheckpointError, match=r"not numbers: video\.mp4: .* --precision f32"):
            check_numbers(np.array([0.5, value], np.float32), "video.mp4")


def test_rows_of_whole_batches_do_not_depend_on_what_came_with_them() -> None:
    spec = {"clip_len": 3, "size": (32, 32)}
    encoder = models.build("late_fusion", num_classes=4, backbone="test_resnet", spec=spec)
    clips = torch.randint(0, 256, (11, 3, 3, 32, 32), dtype=torch.uint8)
    with Scorer(encoder, device="cpu", precision="f32", batch_size=8) as scorer:
        rows = scorer.apply(encoder.encode, clips, whole=True)
        assert len(rows) == 11
        for start, end in ((0, 1), (1, 4), (4, 11), (10, 11)):
            part = scorer.apply(encoder.encode, clips[start:end], whole=True)
            np.testing.assert_array_equal(part, rows[start:end])


def test_one_clip_goes_through_onednn_where_torch_would_not() -> None:
    network = models.build("slowfast_small", num_classes=2).eval()
    clip = torch.randint(256, (1, *network.spec.shape), dtype=torch.uint8)
    scorer = Scorer(network, device="cpu", precision="f32")
    with profile(activities=[ProfilerActivity.CPU]) as scored:
        scorer(clip)
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as computed:
        network(clip / 255)
    slow = [sum(event.key == "aten::slow_conv3d_forward" for event in seen.events()) for seen in (scored, computed)]
    assert slow[0] < slow[1] / 2


@pytest.mark.parametrize(
    ("shape", "on_cpu"),
    [((16, (112, 112)), 4), ((8, (224, 224)), 2), ((16, (224, 224)), 2), ((32, (256, 256)), 2), ((1, (16, 16)), 8)],
)
def test_fewer_large_clips_go_through_a_network_at_once_on_a_cpu(shape: tuple[int, tuple[int, int]], on_cpu: int):
    spec = InputSpec(clip_len=shape[0], size=shape[1])
    assert usual_batch(spec, torch.device("cpu")) == on_cpu
    assert usual_batch(spec, torch.device("cuda")) == 8


def test_a_network_that_cannot_score_each_frame_has_no_frame_plan() -> None:
    for name in ("slow_fusion_tiny", "conv_rnn_small"):
        with pytest.raises(CheckpointError, match="cannot answer at each frame"):
            Scorer(models.build(name, num_classes=2), device="cpu").frame_plan()
    dense = models.build("conv_rnn_small", num_classes=2, spec={"sampling": "dense"})
    assert callable(Scorer(dense, device="cpu").frame_plan())


def test_layers_for_single_clips_are_those_of_a_copy_that_follows_the_weights() -> None:
    network = models.build("slow_fusion_tiny", num_classes=2).eval()
    with Scorer(network, device="cpu", precision="f32") as scorer:
        assert scorer.scoring_network is scorer.scoring_network is not network
        clip = torch.randint(0, 255, (1, *network.spec.shape), dtype=torch.uint8)
        before = scorer(clip)
        network.classifier.weight.data.mul_(2)
        network.classifier.bias.data.mul_(2)
        np.testing.assert_allclose(scorer(clip), 2 * before, rtol=1e-5)
    for other, precision in (("single_frame_tiny", "bf16"), ("cnn_gru_small", "bf16"), ("conv_gru_small", "f32")):
        plain = models.build(other, num_classes=2).eval()
        assert Scorer(plain, device="cpu", precision=precision).scoring_network is plain
