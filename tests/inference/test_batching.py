"""Networks that encode frames alone encode each frame once, with the scores of whole clips."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kinema import models
from kinema.clips.windows import WindowOptions
from kinema.inference.predictor import Failure, Predictor
from kinema.inference.reader import ClipReader, ClipViews, FrameViews
from kinema.types import InputSpec
from kinema.video import open_video
from kinema.weights.checkpoint import ModelCard

LABELS = ("a", "b", "c")
SIZE = {"size": (32, 32)}
NETWORKS: dict[str, dict[str, Any]] = {
    "late fusion": {"name": "late_fusion_tiny", "spec": {"clip_len": 4, "sampling": "dense", **SIZE}},
    "late fusion on a backbone": {"name": "late_fusion", "backbone": "test_resnet", "spec": {"clip_len": 4, **SIZE}},
    "Karpathy's late fusion": {"name": "late_fusion_multires_bn", "width": 1 / 24, "spec": {"frame_stride": 3}},
    "snippets": {"name": "tsn", "backbone": "test_resnet", "spec": {"clip_len": 4, "window_s": 0.8, **SIZE}},
    "best snippets": {
        "name": "tsn", "backbone": "test_resnet", "consensus": "top", "spec": {"clip_len": 4, "window_s": 0.8, **SIZE}
    },
    "the most of all frames": {"name": "tsn_small", "pool": "max", "spec": {"clip_len": 4, "window_s": 0.8, **SIZE}},
    "recurrence": {"name": "cnn_gru_small", "hidden": 8, "spec": {"clip_len": 4, "window_s": 0.8, **SIZE}},
    "recurrence both ways": {
        "name": "cnn_bilstm_small", "hidden": 8, "readout": "mean", "spec": {"clip_len": 4, "sampling": "dense", **SIZE}
    },
}  # fmt: skip
STEP_S = 0.12
"""Three frames: windows of four share one."""


class Counted:
    """Counts the frames that go through the network's first layer."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.num_frames = 0
        self.most = 0
        layer = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Conv3d))
        layer.register_forward_hook(self._count)

    def _count(self, _layer: object, inputs: tuple[torch.Tensor, ...], _output: object) -> None:
        frames = inputs[0].shape[0] * (inputs[0].shape[2] if inputs[0].ndim == 5 else 1)
        self.num_frames += frames
        self.most = max(self.most, frames)

    def __deepcopy__(self, _memo: object) -> Counted:
        return self  # a copy of the network, its norms folded, may be what computes


def warmed(predictor: Predictor) -> Predictor:
    """Score one clip, so that all that happens at the first clip is done."""
    predictor.score_clips(torch.zeros(1, *predictor.spec.shape, dtype=torch.uint8))
    return predictor


@pytest.fixture
def make() -> Callable[..., tuple[Predictor, Counted]]:
    def build(case: str, batch_size: int = 4, task: str = "clip") -> tuple[Predictor, Counted]:
        torch.manual_seed(0)
        network = models.build(num_classes=len(LABELS), **NETWORKS[case])
        torch.nn.init.normal_(network.classifier.weight)
        card = ModelCard.of(network, LABELS, task=task)
        counted = Counted(network)
        predictor = warmed(Predictor(network, card, device="cpu", precision="f32", batch_size=batch_size))
        counted.num_frames = counted.most = 0
        return predictor, counted

    return build


def check_same(shared: Any, whole: Any) -> None:
    np.testing.assert_array_equal(shared.timeline.spans_s, whole.timeline.spans_s)
    np.testing.assert_allclose(shared.timeline.scores, whole.timeline.scores, atol=1e-5, rtol=0)
    assert np.ptp(whole.timeline.scores, axis=0).max() > 1e-3  # else anything would agree


@pytest.mark.parametrize("num_crops", [1, 3])
@pytest.mark.parametrize("case", NETWORKS)
def test_scores_are_those_of_whole_clips(case, num_crops, make, counting_video) -> None:
    predictor, _ = make(case)
    options = {"step_s": STEP_S, "num_crops": num_crops}
    check_same(predictor(counting_video, **options), predictor(counting_video, share_frames=False, **options))


@pytest.mark.parametrize("case", NETWORKS)
def test_each_frame_goes_through_the_frame_network_once(case, make, counting_video) -> None:
    predictor, counted = make(case)
    frames = next(ClipReader(predictor.spec, WindowOptions(STEP_S)).read(0, str(counting_video))).windows.frames
    predictor(counting_video, step_s=STEP_S)
    shared, counted.num_frames = counted.num_frames, 0
    predictor(counting_video, step_s=STEP_S, share_frames=False)
    assert shared == len(np.unique(frames))
    assert counted.num_frames == frames.size > 1.2 * shared


def test_no_more_frames_at_once_than_a_batch_of_clips_has(make, counting_video) -> None:
    predictor, counted = make("late fusion", batch_size=3)
    list(predictor.predict_many([counting_video] * 3, step_s=0.04, num_crops=3))
    assert counted.most == 3 * 4


def test_videos_share_batches_and_come_in_order(make, counting_video, short_video, text_file, two_part_film) -> None:
    predictor, counted = make("late fusion", batch_size=16)
    paths = [counting_video, short_video, text_file, two_part_film, counting_video]
    outcomes = list(predictor.predict_many(paths, step_s=STEP_S, readers=3))
    assert [outcome.path for outcome in outcomes] == [str(path) for path in paths]
    assert isinstance(outcomes[2], Failure)
    assert counted.most == 16 * 4
    for path, outcome in zip(paths, outcomes, strict=True):
        if path is not text_file and path is not short_video:
            check_same(outcome, predictor(path, step_s=STEP_S, share_frames=False))


def test_only_features_that_windows_still_need_are_kept(make, counting_video, monkeypatch) -> None:
    from kinema.inference.batching import SharedFrames

    most, finish = [], SharedFrames.finish

    def watched(self: SharedFrames) -> Any:
        yield from finish(self)
        most.append(sum(len(film) for film in self._encoded.values()))

    monkeypatch.setattr(SharedFrames, "finish", watched)
    predictor, _ = make("late fusion", batch_size=2)
    list(predictor.predict_many([counting_video] * 3, step_s=0.04, readers=1))
    assert len(most) > 40
    assert max(most[:-1]) <= 2 * 4 + 4
    assert most[-1] == 0


def test_damage_is_read_around_as_with_whole_clips(make, damaged_video) -> None:
    predictor, _ = make("late fusion")
    check_same(predictor(damaged_video, step_s=STEP_S), predictor(damaged_video, step_s=STEP_S, share_frames=False))


def test_answers_at_each_frame_are_those_of_whole_clips(make, counting_video) -> None:
    predictor, counted = make("recurrence both ways", task="frame")
    shared = predictor(counting_video)
    seen, counted.num_frames = counted.num_frames, 0
    check_same(shared, predictor(counting_video, share_frames=False))
    assert seen == 120 < counted.num_frames


def test_videos_whose_windows_share_no_frame_are_read_as_clips(counting_video) -> None:
    spec = InputSpec(clip_len=4, frame_stride=2, size=(16, 16))
    for step_s, kind in ((None, ClipViews), (0.1, FrameViews)):
        _, first, *_ = ClipReader(spec, WindowOptions(step_s), by_frame=True).read(0, str(counting_video))
        assert isinstance(first, kind)


def test_networks_that_see_time_get_whole_clips(make_predictor, two_part_film) -> None:
    predictor = warmed(make_predictor())
    predictor.network.num_seen = 0
    predictor(two_part_film, step_s=0.04)
    assert predictor.network.num_seen == 94


def test_features_are_those_of_whole_clips(make, counting_video) -> None:
    predictor, counted = make("late fusion")
    rows, _ = predictor.features(counting_video, step_s=STEP_S)
    seen, counted.num_frames = counted.num_frames, 0
    _, *clips, _ = ClipReader(predictor.spec, WindowOptions(STEP_S)).read(0, str(counting_video))
    expected = predictor.scorer.in_torch().apply(predictor.network.features, torch.cat([clip.views for clip in clips]))
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert seen < counted.num_frames


def test_short_videos_fill_batches_together(make_predictor, short_video, one_frame_video) -> None:
    predictor = warmed(make_predictor(batch_size=8))
    sizes: list[int] = []
    predictor.network.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    outcomes = list(predictor.predict_many([short_video, one_frame_video] * 25, readers=3))
    assert [outcome.path for outcome in outcomes] == [str(short_video), str(one_frame_video)] * 25
    assert sizes == [8] * 6 + [2]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode-")]


def test_clips_of_several_videos_share_batches_with_any_number_of_readers(
    make_predictor, counting_video, two_part_film
) -> None:
    paths = [counting_video, two_part_film] * 5
    predictor = warmed(make_predictor(batch_size=8))
    one = list(predictor.predict_many(paths, readers=1))
    sizes: list[int] = []
    predictor.network.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    for alone, together in zip(one, predictor.predict_many(paths, readers=4, decode_threads=1), strict=True):
        np.testing.assert_allclose(together.timeline.scores, alone.timeline.scores, atol=1e-6)
    assert set(sizes[:-1]) == {8}


@pytest.mark.parametrize("case", ["late fusion", "snippets"])
def test_fast_seek_encodes_only_the_decoded_frames(case, make, counting_video) -> None:
    predictor, counted = make(case)
    found = predictor(counting_video, step_s=STEP_S, fast_seek="keyframes")
    assert counted.num_frames == 3
    assert found.to_json()["fast_seek"] == "keyframes"
    exact = predictor(counting_video, step_s=STEP_S)
    assert "fast_seek" not in exact.to_json()
    np.testing.assert_array_equal(found.timeline.spans_s, exact.timeline.spans_s)
    check_same(found, predictor(counting_video, step_s=STEP_S, fast_seek="keyframes", share_frames=False))


@pytest.mark.parametrize("how", ["nonref", "keyframes"])
def test_clips_show_the_nearest_decoded_frame_at_or_before(how, counting_video, read_count) -> None:
    with open_video(counting_video) as video:
        decoded = np.array([number for number, _ in video.frames_near(np.arange(120), how)])
    spec = InputSpec(clip_len=4, frame_stride=3, size=(64, 96))
    opened, *clips, _ = ClipReader(spec, WindowOptions(0.2), fast_seek=how).read(0, str(counting_video))
    shown = [[read_count(f.permute(1, 2, 0).numpy()) for f in clip.views[0].unbind(dim=1)] for clip in clips]
    stand_ins = decoded[np.searchsorted(decoded, opened.windows.frames, side="right") - 1]
    assert shown == stand_ins.tolist()
