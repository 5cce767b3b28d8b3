"""Drawn figures: exact boxes, the same scene at any rate, files that are read back."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.datasets.opening import open_data
from kinema.datasets.synthetic_figures import ACTIONS, draw_scene, write_figures_set
from kinema.video import open_video


@pytest.mark.parametrize("action", ACTIONS)
def test_boxes_hold_exactly_the_pixels_of_a_figure(action: str):
    scene = draw_scene(np.random.default_rng(5), most=1, first=action)
    start_s = scene.figures[0].start_s
    moved = []
    for time_s in start_s + np.arange(0, 2, 0.1):
        frame, boxes = scene.at(float(time_s))
        changed = np.abs(frame.astype(int) - scene.background).max(axis=2) > 12
        rows, columns = np.nonzero(changed)
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(np.array(boxes[1]) - seen).max() <= 2
        moved.append(boxes[1])
    motion = np.ptp(np.array(moved), axis=0).max()
    assert motion == 0 if action == "stand" else motion > 2


def test_the_same_scene_at_another_rate_has_the_same_boxes():
    scene = draw_scene(np.random.default_rng(1))
    again = draw_scene(np.random.default_rng(1))
    assert scene.at(3.2)[1] == again.at(3.2)[1]


def test_a_set_is_read_back_with_its_truth(tmp_path):
    written = write_figures_set(tmp_path, counts={"train": 5, "test": 1}, seconds=3, fps=4, size=(48, 64))
    data = open_data(tmp_path)
    assert tuple(data.labels) == ACTIONS
    assert data.parts == ("train", "test")
    name, scene = written[0]
    with open_video(tmp_path / "videos" / f"{name}.mp4") as video:
        assert (video.info.num_frames, video.info.height, video.info.width) == (12, 48, 64)
    frames = [data.key_frames[e.key] for e in data.examples if name in e.path]
    for frame in frames:
        true = scene.at(frame.time_s)[1]
        assert {int(person) for person in frame.persons} == set(true)
        for person, box, labels in zip(frame.persons, frame.boxes, frame.labels, strict=True):
            assert np.allclose(box * (64, 48, 64, 48), true[int(person)], atol=0.02)
            assert labels == next(figure.actions for figure in scene.figures if figure.id == int(person))
    tracks = np.loadtxt(tmp_path / "mot" / f"{name}.txt", delimiter=",")
    assert set(tracks[:, 0]) <= set(range(1, 13))
    assert np.allclose(tracks[tracks[:, 0] == 5][:, 2:4], [box[:2] for box in scene.at(1.0)[1].values()])
