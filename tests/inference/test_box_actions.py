"""Tracks get labels: a network that tells light boxes from dark ones, exact times, gaps, short tracks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kinema.errors import CheckpointError, UnreadableVideo
from kinema.inference.box_actions import BoxActionOptions, key_times, score_tracks
from kinema.models import build
from kinema.models.detection import BoxNetwork
from kinema.tracks import Track
from kinema.video.writer import VideoWriter
from kinema.weights.checkpoint import ModelCard

FPS, SECONDS = 10.0, 8
LEFT, RIGHT = [0.0, 0, 48, 64], [48.0, 0, 96, 64]


class LightBoxes(BoxNetwork):
    """Says light where the middle frame is lighter than grey inside the box."""

    def score_boxes(self, clip: Tensor, boxes: list[Tensor]) -> Tensor:
        middle = clip[:, :, clip.shape[2] // 2].mean(1)
        rows = [
            middle[place, int(y1) : round(float(y2)), int(x1) : round(float(x2))].mean()
            for place, own in enumerate(boxes)
            for x1, y1, x2, y2 in own
        ]
        return torch.stack([torch.stack([3 * row, -3 * row]) for row in rows])


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """The left half is light from 2 to 6 s, the right one until 4 s."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, FPS, size=(64, 96)) as writer:
        for number in range(int(SECONDS * FPS)):
            frame = np.full((64, 96, 3), 20, np.uint8)
            frame[:, :48] = 230 if 2 <= number / FPS < 6 else 20
            frame[:, 48:] = 230 if number / FPS < 4 else 20
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def light() -> tuple[BoxNetwork, ModelCard]:
    grey = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    spec = {"clip_len": 3, "size": (32, 32), "fps": 10.0, **grey}
    network = build("roi_head", num_classes=2, spec=spec).eval()
    network.__class__ = LightBoxes
    return network, ModelCard.of(network, ("light", "dark"), multi_label=True, task="boxes")


def track(number: int, box: list[float], start_s: float = 0.0, end_s: float = SECONDS, step: int = 1) -> Track:
    frames = np.arange(round(start_s * FPS), round(end_s * FPS), step)
    return Track(number, frames / FPS, frames, np.tile(np.array(box), (len(frames), 1)), np.ones(len(frames)))


def spans(found: Track, label: str) -> list[tuple[float, float]]:
    return [(round(s.span.start_s, 3), round(s.span.end_s, 3)) for s in found.labels if s.label == label]


def test_labels_hold_where_the_persons_do_them(film, light):
    tracks = (track(1, LEFT), track(2, RIGHT))
    left, right = score_tracks(*light, str(film), tracks, BoxActionOptions(every_s=0.5))
    assert (left.id, right.id) == (1, 2)
    # key frames at 2.0 to 5.5 are light; borders are half a step away
    assert spans(left, "light") == [(1.75, 5.75)]
    assert spans(left, "dark") == [(0, 1.75), (5.75, 8)]
    assert spans(right, "light") == [(0, 3.75)]
    assert all(segment.score > 0.9 for segment in left.labels)
    assert np.array_equal(left.boxes, tracks[0].boxes)


def test_several_labels_and_none_are_normal(film, light):
    (all_labels,) = score_tracks(*light, str(film), [track(1, LEFT)], BoxActionOptions(min_score=0.0))
    assert spans(all_labels, "light") == spans(all_labels, "dark") == [(0, 8)]
    (none,) = score_tracks(*light, str(film), [track(1, LEFT)], BoxActionOptions(min_score=1.0))
    assert none.labels == ()
    assert score_tracks(*light, str(film), [], BoxActionOptions()) == ()


def test_a_person_who_was_away_has_two_segments(film, light):
    seen = track(1, RIGHT, 0, 3.6)
    frames = np.concatenate([seen.frames[seen.times_s < 0.6], seen.frames[seen.times_s > 2.6]])
    count = len(frames)
    gap = Track(1, frames / FPS, frames, np.tile(np.array(RIGHT), (count, 1)), np.ones(count))
    (found,) = score_tracks(*light, str(film), [gap], BoxActionOptions(every_s=0.5))
    assert spans(found, "light") == [(0, 0.75), (2.75, 3.6)]


def test_few_boxes_give_the_same_as_many(film, light):
    options = BoxActionOptions(every_s=0.5)
    (many,), (few,) = (score_tracks(*light, str(film), [track(1, LEFT, step=step)], options) for step in (1, 7))
    assert spans(few, "light") == spans(many, "light")


def test_key_frames_are_at_multiples_and_short_tracks_have_one():
    short = track(2, LEFT, 4.2, 4.7)
    assert key_times([track(1, LEFT, 0.5, 3.3)], 1.0).tolist() == [1, 2, 3]
    assert key_times([track(1, LEFT, 0.5, 2.3), short], 1.0).tolist() == [1, 2, pytest.approx(4.4)]
    assert key_times([track(1, LEFT, 1.0, 2.1)], 0.5).tolist() == [1, 1.5, 2]


def test_other_networks_and_broken_files_are_one_error(film, light, text_file):
    network, card = light
    with pytest.raises(CheckpointError, match="scores no boxes"):
        score_tracks(network, replace(card, task="clip"), str(film), [track(1, LEFT)])
    other = build("slow_fusion_tiny", num_classes=2)
    with pytest.raises(CheckpointError, match="scores no boxes"):
        score_tracks(other, ModelCard.of(other, ("a", "b"), task="boxes"), str(film), [track(1, LEFT)])
    with pytest.raises(UnreadableVideo):
        score_tracks(network, card, str(text_file), [track(1, LEFT)])
