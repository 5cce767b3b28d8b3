"""Scores at each frame of whole videos."""

from __future__ import annotations

import numpy as np
import torch

from kinema import models
from kinema.datasets.temporal_labels import TemporalLabels
from kinema.runs.options import ScoringOptions
from kinema.runs.score_framewise import score_frames
from kinema.types import TimeSpan
from kinema.weights.checkpoint import ModelCard


def test_frames_get_the_class_of_their_time_and_broken_videos_a_reason(short_video, text_file):
    torch.manual_seed(0)
    spec = {"clip_len": 4, "size": [32, 32], "sampling": "dense", "fps": 25.0}
    network = models.build("conv_rnn_small", num_classes=2, spec=spec, widths=[4, 8], stem=[4, 4]).train()
    card = ModelCard.of(network, ("dark", "light"), task="frame")
    labels = TemporalLabels(((TimeSpan(0.0, 0.08), 1),), elsewhere=0)
    done: list[int] = []
    options = ScoringOptions(device="cpu", precision="f32", batch_size=2)
    found = score_frames(network, card, {str(short_video): labels, str(text_file): labels}, options, done.append)
    classes, scores = found.frames[str(short_video)]
    assert classes.tolist() == [1, 1, 0, 0, 0]
    assert scores.shape == (5, 2)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert list(found.broken) == [str(text_file)]
    assert sum(done) == 2
    assert network.training, "the network keeps its mode"
