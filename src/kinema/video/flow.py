"""Optical flow: the displacement of each pixel from one frame to the next, and its storage in 8 bits and as JPEG.

Dense inverse search (DIS, Kroeger et al. 2016) is the default: on textures shifted by known amounts of up to 8 px its
error was 0.01 px, in half the time of Farneback's method (2003), which failed at shifts of 8 px in frames 146 wide. The
two-stream networks of the papers used TV-L1 (Zach et al. 2007).

As in Simonyan and Zisserman (2014) and Carreira and Zisserman (2017), displacements are clipped to 20 px and stored as
uint8. Here 128 is exactly no motion and one level is 20/127 px, so that a mirrored field is `256 - u` without a
rounding error; the value 0 is not used. In a JPEG, u stands left of v. JPEG at quality 95 keeps a field without motion
exact; in videos of gestures, sports and fights the mean error was 0.01 px. A field takes 1 to 3 kB at 110 x 146
pixels and 4 to 14 kB at 256 x 341, a third of lossless compression, and 0.05 or 0.3 ms to decode.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Iterator
from types import ModuleType
from typing import cast

import numpy as np
from numpy.typing import NDArray

from kinema.choices import FLOW_METHODS
from kinema.errors import MissingExtra, UnknownName, UnreadableVideo
from kinema.types import FLOW_MOST_PX, FLOW_ZERO

Frame = NDArray[np.uint8]
Flow = NDArray[np.float32]
"""[h w 2] or [n h w 2]: u to the right and v downwards, in pixels."""
Measure = Callable[[Frame, Frame], Flow]

MIN_SIDE_PX = 12
"""DIS needs at least this height and width."""
JPEG_QUALITY = 95

_LEVELS_PER_PX = (255 - FLOW_ZERO) / FLOW_MOST_PX
_BLOCK = 8
_FARNEBACK = {"pyr_scale": 0.5, "levels": 3, "winsize": 15, "iterations": 3, "poly_n": 5, "poly_sigma": 1.2, "flags": 0}


def flow(previous: Frame, following: Frame, method: str = "dis") -> Flow:
    """Measure the displacement of each pixel from one frame to the next.

    Args:
        previous: [h w 3] uint8 RGB.
        following: the same size.
        method: "dis", "farneback" or "tvl1".

    Returns:
        [h w 2] float32.

    Raises:
        MissingExtra: OpenCV is not installed.
        UnknownName: no such method here; RAFT is in `kinema.clips.raft`.
        UnreadableVideo: frames smaller than `MIN_SIDE_PX`.
    """
    return measure(method)(previous, following)


def measure(method: str) -> Measure:
    """The function that measures flow by a method: two frames [h w 3] to their flow [h w 2].

    Raises:
        MissingExtra: OpenCV is not installed.
        UnknownName: no such method here.
    """
    known = [name for name in FLOW_METHODS if not name.startswith("raft")]
    if method not in known:
        raise UnknownName("method for optical flow", method, known, do=f"known without torch: {', '.join(known)}")
    cv2 = _cv2()
    if method == "dis":
        # An instance reuses its buffers from pair to pair, so threads must not share one.
        calc = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc
    elif method == "farneback":
        calc = functools.partial(cv2.calcOpticalFlowFarneback, **_FARNEBACK)
    else:
        calc = _tvl1()

    def measured(previous: Frame, following: Frame) -> Flow:
        if min(previous.shape[:2]) < MIN_SIDE_PX:
            size = f"{previous.shape[0]}x{previous.shape[1]}"
            raise UnreadableVideo("too small for optical flow", size, f"give at least {MIN_SIDE_PX} pixels a side")
        grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (previous, following)]
        return cast(Flow, calc(*grey, None))

    return measured


def check_method(method: str) -> None:
    """Check that the packages of a method are installed, before any video is read.

    Raises:
        MissingExtra: names the missing package.
    """
    _cv2()
    if method == "tvl1":
        _tvl1()


def quantise(displacement: Flow) -> NDArray[np.uint8]:
    """Convert flow in pixels to uint8: clipped to 20 px, 128 for no motion, values 1 to 255."""
    levels = np.rint(np.clip(displacement, -FLOW_MOST_PX, FLOW_MOST_PX) * _LEVELS_PER_PX)
    return (levels + FLOW_ZERO).astype(np.uint8)


def follow(
    frames: Iterable[tuple[int, Frame]], num_frames: int, measured: Measure, wanted: Container[int] | None = None
) -> Iterator[tuple[int, Frame, NDArray[np.uint8]]]:
    """Measure the flow of frames that arrive in order, in constant memory.

    A frame whose next frame is missing is left out, because its motion is unknown. The last frame of the video repeats the
    flow of the one before.

    Args:
        frames: number and pixels [h w 3], in ascending order.
        num_frames: of the whole video.
        measured: see `measure`.
        wanted: numbers of the frames whose flow is needed; None for all.

    Yields:
        number, frame, and its flow [h w 2] as uint8.
    """
    before, last = -2, cast(Frame, None)  # -2: no frame follows it
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
    """Frames to decode for the flow of those wanted: each and the next one; for the last frame also the one before.

    >>> with_followers(np.array([0, 4, 9]), 10)
    array([0, 1, 4, 5, 8, 9])
    """
    starts = np.minimum(wanted, max(num_frames - 2, 0))
    return np.unique(np.concatenate([starts, np.minimum(starts + 1, num_frames - 1)]))


def encode(field: NDArray[np.uint8]) -> bytes:
    """Encode a field [h w 2] as a grey JPEG: u left, v right, with u padded to whole blocks so that they do not mix."""
    spare = (-field.shape[1]) % _BLOCK
    side = [np.pad(field[..., axis], ((0, 0), (0, spare)), mode="edge") for axis in (0, 1)]
    cv2 = _cv2()
    done, data = cv2.imencode(".jpg", np.concatenate(side, axis=1), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done  # JPEG holds grey images of any size
    return cast(bytes, data.tobytes())


def decode(data: bytes, width: int) -> NDArray[np.uint8]:
    """Decode a field [h width 2]: the inverse of `encode`, apart from the losses of JPEG.

    Raises:
        ValueError: the data are damaged.
    """
    image = _cv2().imdecode(np.frombuffer(data, np.uint8), 0)  # 0 is grey
    half = width + (-width) % _BLOCK
    if image is None or image.shape[1] != 2 * half:
        raise ValueError("not an image of optical flow")
    return np.stack([image[:, :width], image[:, half : half + width]], axis=-1)


@functools.cache
def _cv2() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("networks for optical flow", "opencv-python-headless", "flow") from error
    # Our processes and threads each take a video. OpenCV's own threads would compete with them for the cores, and they do
    # not survive a fork.
    cv2.setNumThreads(1)
    return cv2


def _tvl1() -> Callable[[Frame, Frame, None], Flow]:
    cv2 = _cv2()
    if not hasattr(cv2, "optflow"):
        raise MissingExtra("networks for TV-L1 flow", "opencv-contrib-python-headless", "tvl1")
    return cast("Callable[[Frame, Frame, None], Flow]", cv2.optflow.DualTVL1OpticalFlow_create().calc)
