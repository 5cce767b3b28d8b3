"""The interface of every open video, whatever decodes it: `Video`, and the arithmetic of sizes and times.

Frames are numbered in display order, from 0. Times are those of a player: 0.0 is the first
displayed frame, or the beginning of the sound if that comes more than a tenth of a second earlier.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kinema.choices import FastSeek
from kinema.types import VideoInfo

Size = int | tuple[int, int] | None
Frame = NDArray[np.uint8]

_EPSILON_S = 1e-6  # absorbs rounding: 7 / 25 has to find the frame whose time is stored as 0.28000000000000003
_log = logging.getLogger("kinema")


def target_size(height: int, width: int, size: Size) -> tuple[int, int]:
    """Height and width of a frame after resizing. The long side is rounded down, as in torchvision and PyTorchVideo.

    >>> target_size(240, 320, 120), target_size(240, 320, (112, 112)), target_size(240, 320, None), target_size(20, 39, 10)
    ((120, 160), (112, 112), (240, 320), (10, 19))
    """
    if size is None:
        return height, width
    if isinstance(size, tuple):
        target = size
    elif height <= width:
        target = (size, max(1, width * size // height))
    else:
        target = (max(1, height * size // width), size)
    if min(target) < 1:
        raise ValueError(f"a frame needs a positive size, got {size=}")
    return target


class Video(abc.ABC):
    """An open video that gives frames by number, by time, or in order. Use it as a context manager.

    Attributes:
        info: path, number of frames, duration and size. Rotation is applied; non-square pixels are not stretched.
        times_s: [n] display time of each frame in seconds; the first is 0.0, or later if the sound begins before it.
        promised_s: duration in seconds by the file's header; 0.0 if the header has none.
        pixel_aspect: width of a pixel over its height, as frames are displayed; 1.0 for square pixels.
        zero_s: the timestamp in the file at which `times_s` is 0.0; None if files of images have none.
    """

    info: VideoInfo
    times_s: NDArray[np.float64]
    promised_s: float = 0.0
    pixel_aspect: float = 1.0
    zero_s: float | None = None

    def __init__(self) -> None:
        self._lost: set[int] = set()
        self._concealed: set[int] = set()
        self._fault = ""  # what is wrong with the timestamps
        self._num_refused = 0  # packets that gave no frame, where the frames have no numbers without being decoded

    @property
    def num_damaged(self) -> int:
        """Frames met so far that could not be decoded, or whose damage the decoder concealed; each counts once."""
        return sum(self._num_lost_and_concealed())

    @property
    def damage(self) -> str:
        """What is wrong with the timestamps and the frames met so far, as "2 frames could not be decoded"; empty for nothing."""
        lost, concealed = self._num_lost_and_concealed()
        words = [f"{lost} frame{'s' if lost > 1 else ''} could not be decoded"] if lost else []
        words += [self._fault] if self._fault else []
        words += [f"{concealed} frame{'s are' if concealed > 1 else ' is'} damaged"] if concealed else []
        return " and ".join(words)

    def _num_lost_and_concealed(self) -> tuple[int, int]:
        return len(self._lost) + self._num_refused, len(self._concealed - self._lost)

    @abc.abstractmethod
    def close(self) -> None:
        """Close the file. Closing twice is allowed."""

    @abc.abstractmethod
    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        """Decode frames indices[i] into out[rows[i]]; indices are sorted, unique and valid, out is [n h w c].

        Raises:
            UnreadableVideo: a frame is damaged.
        """

    @abc.abstractmethod
    def _stream(self, indices: range, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        """Yield the frames of `indices` in order, one at a time, without the damaged ones."""

    def frames_at(self, indices: Sequence[int] | NDArray[np.integer], size: Size = None) -> Frame:
        """Decode frames by number, in any order, with repeats. One call for all clips of a file is fastest.

        Args:
            indices: frame numbers in display order, 0 to num_frames - 1.
            size: short side in pixels, or (height, width), or None for the video's own size. Frames are resized while
                they are converted to RGB, so a small size is faster than a full one.

        Returns:
            [n h w c] uint8 RGB.

        Raises:
            IndexError: a number is out of range.
            UnreadableVideo: a frame cannot be decoded.
        """
        numbers = np.asarray(indices, dtype=np.int64).reshape(-1)
        wrong = numbers[(numbers < 0) | (numbers >= self.info.num_frames)]
        if len(wrong):
            raise IndexError(f"{self.info.path} has frames 0 to {self.info.num_frames - 1}, none numbered {wrong[0]}")
        height, width = target_size(self.info.height, self.info.width, size)
        frames = np.empty((len(numbers), height, width, 3), np.uint8)
        unique, first, places = np.unique(numbers, return_index=True, return_inverse=True)
        if len(unique):
            self._read(unique, first, frames)
        for place in np.flatnonzero(first[places] != np.arange(len(numbers))):
            frames[place] = frames[first[places[place]]]
        return frames

    def frames_at_times(self, times_s: Sequence[float] | NDArray[np.floating], size: Size = None) -> Frame:
        """Decode the frames displayed at given times: the first before the start, the last after the end.

        Returns:
            [n h w c] uint8 RGB.
        """
        return self.frames_at(self.indices_at(times_s), size)

    def indices_at(self, times_s: Sequence[float] | NDArray[np.floating]) -> NDArray[np.int64]:
        """Numbers [n] of the frames displayed at given times."""
        times = np.asarray(times_s, dtype=np.float64).reshape(-1) + _EPSILON_S
        numbers = np.searchsorted(self.times_s, times, side="right") - 1
        return np.clip(numbers, 0, self.info.num_frames - 1)

    def iterate(
        self, size: Size = None, *, start_s: float = 0.0, end_s: float | None = None, stride: int = 1
    ) -> Iterator[tuple[int, float, Frame]]:
        """Yield every `stride`-th frame with start_s <= time < end_s in order, in constant memory.

        Frames that cannot be decoded are skipped and counted in `num_damaged`, and so are, without being skipped, damaged
        frames that the decoder concealed; one warning says how many.

        Yields:
            number, time in seconds, frame [h w c] uint8 RGB.
        """
        if stride < 1:
            raise ValueError(f"a stride is at least 1, got {stride=}")
        height, width = target_size(self.info.height, self.info.width, size)
        first = int(np.searchsorted(self.times_s, start_s - _EPSILON_S))
        last = self.info.num_frames if end_s is None else int(np.searchsorted(self.times_s, end_s - _EPSILON_S))
        return self._iterate(range(first, last, stride), height, width)

    def frames_near(
        self, indices: NDArray[np.integer], how: FastSeek, size: Size = None
    ) -> Iterator[tuple[int, Frame]]:
        """Replace each frame by the nearest decoded frame at or before it, so that fewer frames need decoding.

        Some videos give no choice: images, "nonref" with a codec that has no reliable marks, and both ways without
        timestamps. There every requested frame is decoded, and the log says so. A frame that cannot be decoded is skipped
        and counted in `num_damaged`; a frame that is left out on purpose is not counted.

        Args:
            indices: frame numbers, ascending and unique.
            how: "nonref" leaves out frames that no other frame refers to, "keyframes" decodes keyframes only, "none"
                decodes the requested frames.
            size: as in `frames_at`.

        Yields:
            number and frame [h w c] uint8 RGB, in order, each once. If no decoded frame comes before a requested one, the
            first decoded frame replaces it.
        """
        height, width = target_size(self.info.height, self.info.width, size)
        for index in map(int, indices):
            yield from self._stream(range(index, index + 1), height, width)

    def _iterate(self, indices: range, height: int, width: int) -> Iterator[tuple[int, float, Frame]]:
        # Apart from `iterate`, which checks its arguments when it is called and not when the first frame is taken.
        expected, known = 0, self._num_lost_and_concealed()
        for index, frame in self._stream(indices, height, width):
            position = indices.index(index)
            self._lost.update(indices[expected:position])
            expected = position + 1
            yield index, float(self.times_s[index]), frame
        self._lost.update(indices[expected:])
        self._warn(known, len(indices))

    def count_lost(self, frames: Iterable[int], requested: int) -> None:
        """Record frames that could not be decoded, and say how many of the requested ones they are."""
        known = self._num_lost_and_concealed()
        self._lost.update(frames)
        self._warn(known, requested)

    def _warn(self, known: tuple[int, int], requested: int) -> None:
        """Say how many frames are lost or concealed beyond those that were known."""
        lost, concealed = np.subtract(self._num_lost_and_concealed(), known).tolist()
        words = [f"{lost} of {requested} frames could not be decoded and were skipped"] if lost > 0 else []
        words += [f"{concealed} of {requested} frames are damaged; the decoder concealed it"] if concealed > 0 else []
        if words:
            _log.warning("%s: %s", self.info.path, ", ".join(words))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.info.num_frames

    def __repr__(self) -> str:
        info = self.info
        size = f"{info.width}x{info.height}"
        return f"<{type(self).__name__} {info.path!r}: {info.num_frames} frames of {size} at {info.fps:g} fps>"
