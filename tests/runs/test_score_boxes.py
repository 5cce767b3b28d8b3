"""Scores of boxes at key frames: true boxes, detected ones with their scores, files that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.datasets.located_boxes import BoxSet, FoundBoxes
from kinema.datasets.opening import open_data
from kinema.datasets.synthetic_figures import ACTIONS, write_figures_set
from kinema.models import build
from kinema.runs.options import ScoringOptions
from kinema.runs.score_boxes import score_boxes
from kinema.weights.checkpoint import ModelCard

OPTIONS = ScoringOptions(device="cpu", precision="f32", batch_size=2)


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> BoxSet:
    folder: Path = tmp_path_factory.mktemp("figures")
    write_figures_set(folder, counts={"train": 5}, seconds=3, fps=4, size=(48, 64))
    data = open_data(folder)
    assert isinstance(data, BoxSet)
    return data


@pytest.fixture(scope="module")
def scored():
    torch.manual_seed(0)
    network = build(
        "roi_head", num_classes=5, members=[{"variant": "slow_fusion_tiny", "arguments": {"width": 4}}],
        spec={"clip_len": 4, "size": (32, 32), "fps": 4.0},
    )  # fmt: skip
    return network, ModelCard.of(network, ACTIONS, multi_label=True, task="boxes")


def test_every_true_box_has_a_score_for_each_label(figures, scored):
    done = []
    found = score_boxes(*scored, figures, OPTIONS, done.append)
    assert (len(found.videos), found.broken, sum(done)) == (5, {}, 5)
    for path, video in found.videos.items():
        frames = [figures.key_frames[e.key] for e in figures.examples if e.path == path]
        num_boxes = sum(len(frame.boxes) for frame in frames)
        assert video.num_boxes == num_boxes
        assert len(video.answers) == 5 * num_boxes
        assert len(video.truth) == sum(len(labels) for frame in frames for labels in frame.labels)
        assert ((video.answers.scores > 0) & (video.answers.scores < 1)).all()
        assert video.losses > 0
    assert scored[0].training  # the network keeps its mode


def test_detected_boxes_multiply_the_scores(figures, scored):
    halves = {key: FoundBoxes(frame.boxes, np.full(len(frame.boxes), 0.5)) for key, frame in figures.key_frames.items()}
    true, half = (score_boxes(*scored, data, OPTIONS) for data in (figures, replace(figures, found=halves)))
    for path, video in true.videos.items():
        assert np.allclose(half.videos[path].answers.scores, video.answers.scores / 2, atol=1e-6)
        assert half.videos[path].losses == pytest.approx(video.losses)


def test_a_video_that_cannot_be_read_is_named(figures, scored, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    gone = replace(figures.examples[0], path=str(broken))
    frames = {**figures.key_frames, gone.key: figures.key_frames[figures.examples[0].key]}
    found = score_boxes(*scored, replace(figures, examples=(gone, figures.examples[3]), key_frames=frames), OPTIONS)
    assert list(found.broken) == [str(broken)]
    assert len(found.videos) == 1
