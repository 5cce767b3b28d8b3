"""Results of interleaved videos come in order, and no video blocks the others."""

from __future__ import annotations

import torch

from kinema import models
from kinema.inference import features as extractor
from kinema.inference.predictor import Predictor
from kinema.weights.checkpoint import ModelCard

LABELS = ("a", "b", "c")


def test_a_video_whose_clips_fill_no_batch_does_not_keep_all_others_in_memory(short_video, counting_video, monkeypatch):
    """The short video has one whole clip, which alone fills no batch; windows of the others share their frames."""
    most, take = [0], extractor.FeatureRows.take

    def counted(rows, item):
        take(rows, item)
        most[0] = max(most[0], len(rows.videos))

    monkeypatch.setattr(extractor.FeatureRows, "take", counted)
    torch.manual_seed(0)
    spec = {"size": (32, 32), "clip_len": 3, "sampling": "spread", "window_s": 1.0}
    network = models.build("late_fusion", num_classes=3, backbone="test_resnet", spec=spec).eval()
    predictor = Predictor(network, ModelCard.of(network, LABELS), device="cpu", precision="f32", batch_size=2)
    outcomes = predictor.extract([str(short_video), *[str(counting_video)] * 20], step_s=0.32)
    assert sum(len(list(video.chunks())) for video in outcomes) == 21
    assert most[0] < 12


def test_a_video_read_by_frames_does_not_block_those_read_as_clips(
    counting_video, tmp_path, write_frames, draw_count, monkeypatch
):
    one_clip = write_frames(tmp_path / "four.mp4", map(draw_count, range(4)))
    torch.manual_seed(0)
    spec = {"clip_len": 4, "sampling": "dense", "size": (32, 32)}
    network = models.build("late_fusion_tiny", num_classes=3, spec=spec)
    predictor = Predictor(network, ModelCard.of(network, LABELS), device="cpu", precision="f32", batch_size=4)
    outcomes = predictor.predict_many([counting_video, *[one_clip] * 200], step_s=0.12, readers=1)
    reached: list[int] = []
    apply = predictor.scorer.apply
    monkeypatch.setattr(
        predictor.scorer, "apply",
        lambda function, clips, *at_once: reached.append(len(clips) * (not at_once)) or apply(function, clips, *at_once),
    )  # fmt: skip
    assert next(outcomes).path == str(counting_video)
    assert sum(reached) < 30
    assert len(list(outcomes)) == 200
    assert sum(reached) == 200
    assert reached.count(4) > 45


def test_files_of_unfinished_videos_are_closed_when_the_caller_stops(make_predictor, two_part_film, monkeypatch):
    states = []
    begin = extractor.FeatureRows.begin
    monkeypatch.setattr(extractor.FeatureRows, "begin", lambda *given: states.append(begin(*given)) or states[-1])
    outcomes = make_predictor().extract([str(two_part_film)] * 5, step_s=0.1)
    first = next(outcomes)
    outcomes.close()
    assert [state.file.closed for state in states] == [False, *[True] * (len(states) - 1)]
    list(first.chunks())
    assert states[0].file.closed
