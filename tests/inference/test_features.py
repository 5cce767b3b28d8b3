"""One vector a clip, from the features or any layer, of videos that are whole, broken or long."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kinema import models
from kinema.errors import UnreadableVideo
from kinema.inference import features as extractor
from kinema.inference.predictor import Predictor
from kinema.predictions import Failure
from kinema.weights.checkpoint import ModelCard


def test_features_follow_the_video(make_predictor, two_part_film):
    found, spans_s = make_predictor().features(two_part_film)
    assert found.shape == (len(spans_s), 1)
    assert found.dtype == np.float32
    assert spans_s[0, 0] == 0
    assert spans_s[-1, 1] == pytest.approx(4.0, abs=0.05)
    dark, light = spans_s[:, 1] <= 2, spans_s[:, 0] >= 2
    assert found[dark].max() < -1 < 1 < found[light].min()


def test_the_classifier_of_the_features_gives_the_scores_of_the_prediction(make_predictor, two_part_film):
    predictor = make_predictor()
    found, spans_s = predictor.features(two_part_film, step_s=0.5)
    timeline = predictor(two_part_film, step_s=0.5).timeline
    assert np.allclose(spans_s, timeline.spans_s)
    logits = predictor.network.classifier(torch.from_numpy(found))
    assert np.allclose(logits.softmax(1).detach().numpy(), timeline.raw, atol=1e-5)


def test_evenly_spaced_clips_are_the_same_for_features_and_predictions(make_predictor, two_part_film):
    clips = {"clip_len": 4, "frame_stride": 12, "fps": 30.0, "sampling": "dense"}  # 1.6 s
    predictor = make_predictor(**clips, spacing="even")
    found, spans_s = predictor.features(two_part_film)
    np.testing.assert_allclose(spans_s, [[0, 1.6], [1.6, 3.2], [2.4, 4.0]])
    np.testing.assert_allclose(predictor(two_part_film).timeline.spans_s, spans_s)
    assert not np.allclose(make_predictor(**clips).features(two_part_film)[1][1], spans_s[1])
    assert found[0] < found[1] < found[2]  # frame 2 of 4 of the middle clip, at 2.12 s, is light already


def test_videos_share_batches_come_in_order_and_a_broken_one_is_a_failure(make_predictor, two_part_film, text_file):
    predictor = make_predictor(batch_size=64)
    outcomes = list(predictor.extract([str(two_part_film), str(text_file), str(two_part_film)]))
    assert isinstance(outcomes[1], Failure)
    assert [outcome.path for outcome in outcomes] == [str(two_part_film), str(text_file), str(two_part_film)]
    first, last = (np.concatenate([rows for _, rows in outcome.chunks()]) for outcome in outcomes[::2])
    assert np.array_equal(first, last)
    assert predictor.network.largest_batch > len(first), "clips of two films went through the network together"
    with pytest.raises(UnreadableVideo):
        predictor.features(text_file)


def test_rows_of_a_long_video_come_in_chunks(make_predictor, two_part_film, monkeypatch):
    monkeypatch.setattr(extractor, "_ROWS", 3)
    monkeypatch.setattr(extractor, "_IN_MEMORY", 8)  # the rest waits on disk
    predictor = make_predictor()
    (film,) = predictor.extract([str(two_part_film)], step_s=0.25)
    pieces = list(film.chunks())
    assert max(len(rows) for _, rows in pieces) == 3
    assert np.array_equal(
        np.concatenate([rows for _, rows in pieces]), predictor.features(two_part_film, step_s=0.25)[0]
    )
    assert np.array_equal(np.concatenate([spans_s for spans_s, _ in pieces]), film.spans_s)


def test_damage_counts_the_lost_frames(make_predictor, damaged_video):
    (film,) = make_predictor().extract([str(damaged_video)], step_s=0.04)
    assert "frames could not be decoded" in film.damage
    assert len(list(film.chunks())) == 1


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    spec = {"size": (32, 32), "clip_len": 3}
    return models.build("late_fusion", num_classes=3, backbone="test_resnet", spec=spec).eval()


def convolution_of(network) -> str:
    return next(name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


def test_a_layer_of_a_video(network, two_part_film):
    predictor = Predictor(network, ModelCard.of(network, ("a", "b", "c")), device="cpu", precision="f32")
    found, spans_s = predictor.features(two_part_film, layer=convolution_of(network), pool="max")
    assert found.shape[0] == len(spans_s)
    assert np.isfinite(found).all()
