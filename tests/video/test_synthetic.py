"""Motions cannot be stated from a still, looks can; and motions are what their names say."""

from __future__ import annotations

import time

import numpy as np
import pytest

from kinema.errors import UnknownName
from kinema.video.synthetic import APPEARANCES, MOTIONS, draw_appearance, draw_motion, path_of


def features_of(still):
    """Small pixels, their squares, and how often each of 64 colours occurs."""
    small = still.reshape(8, 6, 8, 6, 3).mean(axis=(1, 3)).reshape(-1) / 255 - 0.5
    colours = (still // 64).reshape(-1, 3) @ np.array([16, 4, 1])
    return np.concatenate([small / 4, small**2, np.sqrt(np.bincount(colours, minlength=64) / 100), [1]])


def probe(draw, labels, per_class, frame):
    """Accuracy on unseen clips of a linear classifier that sees one still frame of each."""
    rng = np.random.default_rng(0)
    features = np.array([[features_of(draw(label, rng)[frame]) for _ in range(per_class)] for label in labels])
    half = per_class // 2
    train, valid = features[:, :half].reshape(-1, features.shape[2]), features[:, half:]
    targets = np.repeat(np.eye(len(labels)), half, axis=0)
    weights = np.linalg.solve(train.T @ train + 3 * np.eye(train.shape[1]), train.T @ targets)
    return float(((valid @ weights).argmax(2) == np.arange(len(labels))[:, None]).mean())


@pytest.mark.parametrize("frame", [0, 12, 23])
def test_a_still_does_not_reveal_a_motion(frame):
    assert probe(draw_motion, MOTIONS, 120, frame) < 0.20  # chance is 0.125


def test_a_still_reveals_an_appearance():
    assert probe(draw_appearance, APPEARANCES, 120, 5) > 0.35


def test_mean_images_of_motions_are_alike():
    rng = np.random.default_rng(1)
    means = np.array([np.mean([draw_motion(label, rng)[0] for _ in range(150)], axis=(0, 3)) for label in MOTIONS])
    assert np.abs(means.mean(axis=(1, 2)) - means.mean()).max() < 8


@pytest.mark.parametrize(
    ("label", "name", "sign"),
    [
        ("left", "column", -1),
        ("right", "column", 1),
        ("up", "row", -1),
        ("down", "row", 1),
        ("clockwise", "angle", 1),
        ("counterclockwise", "angle", -1),
        ("grow", "size", 1),
        ("shrink", "size", -1),
    ],
)
def test_only_one_thing_changes(label, name, sign):
    path = path_of(label, np.random.default_rng(3), 24)
    for other in ("row", "column", "angle", "size"):
        steps = (np.diff(getattr(path, other)) + 0.5) % 1 - 0.5
        if other == name:
            assert (sign * steps > 0.02).all()
        else:
            assert (steps == 0).all()


@pytest.mark.parametrize(("label", "axis", "sign"), [("left", 1, -1), ("right", 1, 1), ("up", 0, -1), ("down", 0, 1)])
def test_things_move_as_they_are_called(label, axis, sign):
    rng = np.random.default_rng(0)
    votes = 0
    for _ in range(10):
        clip = draw_motion(label, rng).astype(float).mean(axis=3)
        changed = (clip - np.median(clip, axis=0))[::2]

        def fit(shift, changed=changed):
            return -np.abs(np.roll(changed[:-1], shift, axis + 1) - changed[1:]).mean()

        votes += max((-3, 3), key=fit) == 3 * sign
    assert votes >= 8


def test_clockwise_turns_as_a_clock():
    clip = draw_motion("clockwise", np.random.default_rng(0), 24, (96, 96))
    path = path_of("clockwise", np.random.default_rng(0), 24)
    row, column = round(float(path.row[0]) * 96), round(float(path.column[0]) * 96)
    middle = [np.roll(frame, (48 - row, 48 - column), (0, 1))[36:61, 36:61].astype(float) for frame in clip]
    rotated = [np.rot90(middle[0], quarters) for quarters in (-1, 1)]  # -1 is clockwise on screen
    turns = (path.angle - path.angle[0]) % 1
    quarter = int(np.argmin(np.abs(turns - 0.25)))
    errors = [np.abs(middle[quarter] - image)[6:-6, 6:-6].mean() for image in rotated]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(("draw", "labels"), [(draw_motion, MOTIONS), (draw_appearance, APPEARANCES)])
def test_clips_have_the_shape_requested_and_repeat_with_the_seed(draw, labels):
    for label in labels:
        clip = draw(label, np.random.default_rng(5), 10, (40, 56))
        assert (clip.shape, clip.dtype) == ((10, 40, 56, 3), np.uint8)
        np.testing.assert_array_equal(clip, draw(label, np.random.default_rng(5), 10, (40, 56)))
        assert (clip[0] != clip[5]).any()


def test_one_frame_is_enough_to_draw():
    assert draw_motion("grow", np.random.default_rng(0), 1).shape == (1, 48, 48, 3)


@pytest.mark.parametrize("draw", [draw_motion, draw_appearance])
def test_a_misspelt_name_is_answered_with_the_nearest(draw):
    with pytest.raises(UnknownName):
        draw("lefft", np.random.default_rng(0))


def test_drawing_is_quick():
    rng = np.random.default_rng(0)
    times = []
    for label in 4 * MOTIONS:
        start = time.perf_counter()
        draw_motion(label, rng)
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 4] < 0.02
