from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from kinema.errors import MissingExtra, UnknownName, UnreadableVideo
from kinema.types import FLOW_MOST_PX, FLOW_ZERO
from kinema.video import flow as flow_module
from kinema.video.flow import decode, encode, flow, follow, measure, quantise, with_followers


def to_px(levels: np.ndarray) -> np.ndarray:
    """Levels of `quantise` as displacements in pixels."""
    return (levels.astype(np.float32) - FLOW_ZERO) * np.float32(FLOW_MOST_PX / (255 - FLOW_ZERO))


def textured(dx: int = 0, dy: int = 0, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """A smooth random texture [h w 3], moved dx pixels to the right and dy down."""
    rng = np.random.default_rng(0)
    knots = rng.uniform(0, 255, (24, 32)).astype(np.float32)
    field = cv2.resize(knots, (size[1] + 60, size[0] + 60), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    part = field[30 - dy : 30 - dy + size[0], 30 - dx : 30 - dx + size[1]]
    return np.repeat(part[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("method", ["dis", "farneback"])
@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (1, 0), (-3, 2), (0, -4)])
def test_a_shifted_texture_has_moved_as_far_as_it_was_shifted(method: str, dx: int, dy: int):
    found = flow(textured(), textured(dx, dy), method)
    assert found.dtype == np.float32
    inside = found[12:-12, 12:-12].reshape(-1, 2)
    assert np.abs(np.median(inside, axis=0) - (dx, dy)).max() < 0.05
    assert np.hypot(*(inside - (dx, dy)).T).mean() < 0.2


def test_no_motion_is_128_exactly():
    still = np.zeros((4, 4, 2), np.float32)
    assert (quantise(still) == FLOW_ZERO).all()
    assert (quantise(-still) == FLOW_ZERO).all()


def test_quantising_is_symmetric_and_keeps_to_half_a_step():
    values = np.linspace(-FLOW_MOST_PX, FLOW_MOST_PX, 2001, dtype=np.float32)[:, None, None].repeat(2, axis=2)
    levels = quantise(values)
    assert (levels.min(), levels.max()) == (1, 255)
    assert (levels.astype(int) + quantise(-values) == 2 * FLOW_ZERO).all()
    assert np.abs(to_px(levels) - values).max() <= FLOW_MOST_PX / 127 / 2 + 1e-5
    assert np.array_equal(quantise(to_px(levels)), levels)


def test_what_moves_further_than_20_pixels_is_cut_off():
    far = np.array([[[-1e6, 1e6], [-20.0, 20.0]]], np.float32)
    assert quantise(far).tolist() == [[[1, 255], [1, 255]]]
    assert to_px(quantise(far))[0, 1].tolist() == pytest.approx([-20, 20])


@pytest.mark.parametrize("width", [1, 13, 16, 50])
def test_a_field_survives_a_jpeg(width: int):
    smooth = quantise(cv2.resize(np.random.default_rng(1).uniform(-6, 6, (3, 4, 2)).astype(np.float32), (width, 30)))
    back = decode(encode(smooth), width)
    assert back.shape == smooth.shape
    assert np.abs(to_px(back) - to_px(smooth)).mean() < 0.1
    still = np.full((30, width, 2), FLOW_ZERO, np.uint8)
    assert np.array_equal(decode(encode(still), width), still)


def test_one_half_of_the_jpeg_does_not_run_into_the_other():
    field = np.full((16, 13, 2), FLOW_ZERO, np.uint8)
    field[..., 0] = 255
    assert (decode(encode(field), 13) == field).all()


def test_a_damaged_jpeg_is_an_error():
    with pytest.raises(ValueError, match="not an image"):
        decode(b"no JPEG", 8)
    with pytest.raises(ValueError, match="not an image"):
        decode(encode(np.zeros((8, 8, 2), np.uint8)), 80)


def test_flow_in_a_stream_needs_two_frames_in_a_row():
    frames = [(number, textured(number)) for number in (0, 1, 3, 4)]
    found = {number: field for number, _, field in follow(frames, 5, measure("dis"))}
    assert list(found) == [0, 3, 4]
    assert np.median(to_px(found[3])[12:-12, 12:-12, 0]) == pytest.approx(1, abs=0.1)
    assert np.array_equal(found[3], found[4])
    assert [number for number, *_ in follow(frames, 5, measure("dis"), {0, 4})] == [0, 4]
    (only,) = follow(frames[:1], 1, measure("dis"))
    assert (only[2] == FLOW_ZERO).all()


def test_the_frames_after_those_wanted_are_decoded_too():
    assert with_followers(np.array([0, 4, 9]), 10).tolist() == [0, 1, 4, 5, 8, 9]
    assert with_followers(np.array([0]), 1).tolist() == [0]


def test_unknown_methods_and_tiny_frames_are_refused():
    with pytest.raises(UnknownName, match="Did you mean dis"):
        flow(textured(), textured(), "diss")
    with pytest.raises(UnreadableVideo, match="too small"):
        flow(textured(size=(8, 40)), textured(size=(8, 40)))


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(flow_module, "_cv2", flow_module._cv2.__wrapped__)
    monkeypatch.delattr(cv2, "optflow", raising=False)
    with pytest.raises(MissingExtra, match="opencv-contrib-python-headless"):
        flow_module.check_method("tvl1")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"pip install 'kinema\[flow\]'"):
        flow(textured(), textured())
