from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from kinema import models
from kinema.datasets.clips import Batch, Views
from kinema.datasets.dataset import DataSet
from kinema.engines.scorer import Scorer, score, score_data, to_scores, usual_batch
from kinema.errors import CheckpointError, UsageError
from kinema.labels import Labels
from kinema.models.device import resolve_precision
from kinema.types import Example, InputSpec


def a_batch(levels: list[int], indices: list[int]) -> Batch:
    clips = torch.stack([torch.full((3, 4, 16, 16), level, dtype=torch.uint8) for level in levels])
    return Batch(clips, torch.zeros(len(levels)), torch.tensor(indices))


@pytest.fixture
def network(make_predictor):
    return make_predictor().network


def test_every_row_keeps_its_index(network) -> None:
    found = list(score(network, [a_batch([0, 255], [7, 3]), a_batch([255], [9])], device="cpu", precision="f32"))
    assert [index for index, _ in found] == [7, 3, 9]
    assert [int(logits.argmax()) for _, logits in found] == [0, 1, 1]


def test_a_batch_of_broken_files_only_is_passed_over(network) -> None:
    empty = Batch(torch.empty((0, 0, 0, 0, 0), dtype=torch.uint8), torch.empty(0), torch.empty(0, dtype=torch.int64))
    assert list(score(network, [empty], device="cpu")) == []


def test_the_network_is_left_as_it_was(network) -> None:
    network.train()
    before = [parameter.stride() for parameter in network.parameters()]
    list(score(network, [a_batch([0], [0])], device="cpu"))
    assert network.training
    assert [parameter.stride() for parameter in network.parameters()] == before
    assert all(not parameter.is_inference() and parameter.requires_grad for parameter in network.parameters())


def test_low_precision_gives_nearly_the_same_scores(network) -> None:
    clips = a_batch(list(range(0, 256, 16)), list(range(16))).clips
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


@pytest.mark.parametrize("workers", [0, 2])
def test_every_example_is_scored_or_named_as_broken(network, two_part_film, counting_video, text_file, workers) -> None:
    paths = [two_part_film, text_file, counting_video]
    examples = tuple(Example(str(path), ("a",), None, None) for path in paths)
    data = DataSet("films", "films", examples, Labels(("a", "b")))
    done: list[int] = []
    scored = score_data(network, data, Views(3, 1), workers=workers, advance=done.append, device="cpu", batch_size=4)
    assert sorted(scored.logits) == [0, 2]
    assert scored.logits[0].shape == (3, 2)
    assert list(scored.broken) == [1]
    assert sum(done) == 3


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
