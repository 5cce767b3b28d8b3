"""Optical flow: how far each pixel moves from one frame to the next, and how flow is kept in 8 bits and in JPEG pictures.

Dense inverse search (DIS, Kroeger et al. 2016) is the default: on textures that were shifted by known amounts its
error was 0.01 px, up to larger shifts and in half the time of Farneback's method (2003), which lost 8 px at 146
columns. TV-L1 (Zach et al. 2007) is what the two-stream networks of the papers saw.

As Simonyan and Zisserman (2014) and Carreira and Zisserman (2017) do, displacements are cut off at 20 px and kept as
uint8. Here 128 is exactly no motion and one step is 20/127 px, so that a mirrored field is `256 - u` without a
rounding error; the value 0 is not used. In a picture, u stands left of v. JPEG keeps a field without motion exact,
and of films of gestures, sport and fights, at quality 95, all others to 0.01 px on average: 1 to 3 kB for 110 x 146
pixels, 4 to 14 kB for 256 x 341, a third of what lossless packing takes, and 0.05 or 0.3 ms to read.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kinema.errors import MissingExtra, UnknownName, UnreadableVideo
from kinema.types import FLOW_METHODS, FLOW_MOST_PX, FLOW_ZERO

Frame = NDArray[np.uint8]
Flow = NDArray[np.float32]
"""[h w 2] or [n h w 2]: u to the right and v downwards, in pixels."""
Measure = Callable[[Frame, Frame], Flow]

LEAST_SIDE = 12
"""DIS needs so many pixels a side."""
JPEG_QUALITY = 95

_STEPS_PER_PX = (255 - FLOW_ZERO) / FLOW_MOST_PX
_BLOCK = 8


def flow(previous: Frame, following: Frame, method: str = "dis") -> Flow:
    """The displacement of each pixel from one frame to the next.

    Args:
        previous: [h w 3] uint8 RGB.
        following: the same size.
        method: "dis", "farneback" or "tvl1".

    Returns:
        [h w 2] float32.

    Raises:
        MissingExtra: OpenCV is not installed.
        UnknownName: no such method here; RAFT is in `kinema.clips.raft`.
        UnreadableVideo: frames smaller than `LEAST_SIDE`.
    """
    return measure(method)(previous, following)


def flows(frames: NDArray[np.uint8], method: str = "dis") -> Flow:
    """The displacement of each frame [n h w 3] to the next, [n h w 2]; the last repeats the one before, one alone is at rest."""
    between = [flow(a, b, method) for a, b in itertools.pairwise(frames)]
    return np.stack([*between, between[-1]]) if between else np.zeros((*frames.shape[:3], 2), np.float32)


def measure(method: str) -> Measure:
    """The function behind a method's name: two frames in, their flow out."""
    if method not in _MEASURES:
        known = [name for name in FLOW_METHODS if name in _MEASURES]
        raise UnknownName("method for optical flow", method, known, do=f"known without torch: {', '.join(known)}")
    return _MEASURES[method]()


def check_method(method: str) -> None:
    """Make sure that what a method needs is installed: better now than in the middle of a film.

    Raises:
        MissingExtra: says which package is not.
    """
    _cv2()
    if method == "tvl1":
        _tvl1()


def quantise(displacement: Flow) -> NDArray[np.uint8]:
    """Flow in pixels as uint8: cut off at 20 px, 128 where nothing moves, 1 to 255."""
    steps = np.rint(np.clip(displacement, -FLOW_MOST_PX, FLOW_MOST_PX) * _STEPS_PER_PX)
    return (steps + FLOW_ZERO).astype(np.uint8)


def dequantise(values: NDArray[np.uint8]) -> Flow:
    """The inverse of `quantise`, to half a step (0.08 px); 128 is 0.0."""
    return cast(Flow, (values.astype(np.float32) - FLOW_ZERO) / np.float32(_STEPS_PER_PX))


def follow(
    frames: Iterable[tuple[int, Frame]], num_frames: int, measured: Measure, wanted: Container[int] | None = None
) -> Iterator[tuple[int, Frame, NDArray[np.uint8]]]:
    """The flow of frames that come one after the other, in constant memory.

    A frame whose follower does not come right after it is left out: its motion is not known. The film's last frame
    takes the flow of the one before.

    Args:
        frames: number and pixels [h w 3], in ascending order.
        num_frames: of the whole film.
        measured: see `measure`.
        wanted: numbers of the frames whose flow is asked for; None: all.

    Yields:
        number, frame, and its flow [h w 2] as uint8.
    """
    before, last = -2, cast(Frame, None)
    for number, frame in frames:
        ends = number == num_frames - 1
        if number == before + 1 and (wanted is None or before in wanted or (ends and number in wanted)):
            found = quantise(measured(last, frame))
            if wanted is None or before in wanted:
                yield before, last, found
            if ends and (wanted is None or number in wanted):
                yield number, frame, found
        elif num_frames == 1:
            yield number, frame, np.full((*frame.shape[:2], 2), FLOW_ZERO, np.uint8)
        before, last = number, frame


def with_followers(wanted: NDArray[np.int64], num_frames: int) -> NDArray[np.int64]:
    """The frames that have to be decoded for the flow of those wanted: each with the next, the last with the one before.

    >>> with_followers(np.array([0, 4, 9]), 10)
    array([0, 1, 4, 5, 8, 9])
    """
    starts = np.minimum(wanted, max(num_frames - 2, 0))
    return np.unique(np.concatenate([starts, np.minimum(starts + 1, num_frames - 1)]))


def encode(field: NDArray[np.uint8]) -> bytes:
    """A field [h w 2] as a grey JPEG: u, filled up to whole blocks so that it does not run into v, then v."""
    spare = (-field.shape[1]) % _BLOCK
    side = [np.pad(field[..., axis], ((0, 0), (0, spare)), mode="edge") for axis in (0, 1)]
    cv2 = _cv2()
    done, data = cv2.imencode(".jpg", np.concatenate(side, axis=1), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done  # a grey picture of any size can be written
    return cast(bytes, data.tobytes())


def decode(data: bytes, width: int) -> NDArray[np.uint8]:
    """The inverse of `encode`, but for JPEG's losses: a field [h width 2].

    Raises:
        ValueError: the data are damaged.
    """
    picture = _cv2().imdecode(np.frombuffer(data, np.uint8), 0)  # 0 is grey
    half = width + (-width) % _BLOCK
    if picture is None or picture.shape[1] != 2 * half:
        raise ValueError("not a picture of optical flow")
    return np.stack([picture[:, :width], picture[:, half : half + width]], axis=-1)


@functools.cache
def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("networks for optical flow", "opencv-python-headless", "flow") from error
    # Films are shared out between processes and threads of ours; OpenCV's own would fight with them for the cores,
    # and do not live through a fork.
    cv2.setNumThreads(1)
    return cv2


def _dis() -> Measure:
    # An instance keeps its buffers from pair to pair; threads must not share it.
    return _on_grey(_cv2().DISOpticalFlow_create(_cv2().DISOPTICAL_FLOW_PRESET_MEDIUM).calc)


def _farneback() -> Measure:
    settings = {"pyr_scale": 0.5, "levels": 3, "winsize": 15, "iterations": 3, "poly_n": 5, "poly_sigma": 1.2}
    return _on_grey(functools.partial(_cv2().calcOpticalFlowFarneback, flags=0, **settings))


def _tvl1() -> Measure:
    cv2 = _cv2()
    if not hasattr(cv2, "optflow"):
        raise MissingExtra("networks for TV-L1 flow", "opencv-contrib-python-headless", "tvl1")
    return _on_grey(cv2.optflow.DualTVL1OpticalFlow_create().calc)


def _on_grey(calc: Callable[..., Any]) -> Measure:
    cv2 = _cv2()

    def measured(previous: Frame, following: Frame) -> Flow:
        if min(previous.shape[:2]) < LEAST_SIDE:
            size = f"{previous.shape[0]}x{previous.shape[1]}"
            raise UnreadableVideo("too small for optical flow", size, f"give at least {LEAST_SIDE} pixels a side")
        grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (previous, following)]
        return cast(Flow, calc(*grey, None))

    return measured


_MEASURES: dict[str, Callable[[], Measure]] = {"dis": _dis, "farneback": _farneback, "tvl1": _tvl1}
