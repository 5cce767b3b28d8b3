"""What every video can do, whatever it is read with: `Video`, and the arithmetic of sizes and times that all share.

Frames are numbered in display order, from 0. Times start at 0.0 with the first frame that is shown.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from kinema.types import VideoInfo

Size = int | tuple[int, int] | None
Frame = NDArray[np.uint8]
FastSeek = Literal["none", "nonref", "keyframes"]
"""Which frames are decoded at all: every one that is wanted; none that no other frame refers to; keyframes only."""

_EPSILON_S = 1e-6  # 7 / 25 is asked for, 0.28000000000000003 is stored
_log = logging.getLogger("kinema")


def target_size(height: int, width: int, size: Size) -> tuple[int, int]:
    """Height and width of a frame after resizing.

    >>> target_size(240, 320, 120), target_size(240, 320, (112, 112)), target_size(240, 320, None)
    ((120, 160), (112, 112), (240, 320))
    """
    if size is None:
        return height, width
    if isinstance(size, tuple):
        wanted = size
    elif height <= width:
        wanted = (size, max(1, round(width * size / height)))
    else:
        wanted = (max(1, round(height * size / width)), size)
    if min(wanted) < 1:
        raise ValueError(f"a frame needs a positive size, got {size=}")
    return wanted


class Video(abc.ABC):
    """An open video: frames by number, by time, or one after the other. Use it as a context manager.

    Attributes:
        info: name, length and size; rotation is already applied, pixels that are not square are left as stored.
        times_s: [n] when each frame appears, in seconds; the first is 0.0.
        promised_s: length by the file's header; 0.0 where it does not say.
        num_damaged: frames that `iterate` and `frames_near` had to leave out so far because they could not be decoded.
        pixel_aspect: width of a stored pixel over its height, 1.0 for square ones. Frames are never stretched by it.
    """

    info: VideoInfo
    times_s: NDArray[np.float64]
    num_damaged: int = 0
    promised_s: float = 0.0
    pixel_aspect: float = 1.0

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the file. Twice is fine."""

    @abc.abstractmethod
    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        """Decode sorted, unique, valid indices; frame indices[i] goes to out[rows[i]], out being [n h w c].

        Raises:
            UnreadableVideo: one of them is damaged.
        """

    @abc.abstractmethod
    def _stream(self, indices: range, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        """The frames of `indices` in order, one at a time, without those that are damaged."""

    def frames_at(self, indices: Sequence[int] | NDArray[np.integer], size: Size = None) -> Frame:
        """Decode frames by number: any order, repeats allowed, all clips of a file best in one call.

        Args:
            indices: numbers in display order, 0 to num_frames - 1.
            size: short side in pixels, or (height, width), or None for the video's own. Shrinking happens while the
            decoder's
                pixels turn into RGB, so that a small size is cheaper than a full one.

        Returns:
            [n h w c] uint8 RGB.

        Raises:
            IndexError: there is no such frame.
            UnreadableVideo: one of them cannot be decoded.
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
        """Decode the frames that are on screen at given times; before the start the first, after the end the last.

        Returns:
            [n h w c] uint8 RGB.
        """
        return self.frames_at(self.indices_at(times_s), size)

    def indices_at(self, times_s: Sequence[float] | NDArray[np.floating]) -> NDArray[np.int64]:
        """[n] numbers of the frames that are on screen at given times."""
        wanted = np.asarray(times_s, dtype=np.float64).reshape(-1) + _EPSILON_S
        numbers = np.searchsorted(self.times_s, wanted, side="right") - 1
        return np.clip(numbers, 0, self.info.num_frames - 1)

    def iterate(
        self, size: Size = None, *, start_s: float = 0.0, end_s: float | None = None, stride: int = 1
    ) -> Iterator[tuple[int, float, Frame]]:
        """Every `stride`-th frame with start_s <= time < end_s, one after the other, in constant memory.

        Frames that cannot be decoded are left out and counted in `num_damaged`; one warning says how many.

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
        """Frames that stand for others: for each the nearest at or before it among those that are decoded at all.

        Where a film has no such frames to choose (pictures; "nonref" where the codec does not mark them for certain;
        both where timestamps are missing), every frame stands for itself, and the log says so. A frame that cannot be
        decoded is left out and counted in `num_damaged`; one that was not to be decoded at all is not counted.

        Args:
            indices: ascending numbers, each once.
            how: "nonref" leaves out frames that no other frame refers to, "keyframes" all but those that decode alone.
            size: as for `frames_at`.

        Yields:
            number, in order and each once, and frame [h w c] uint8 RGB. Before the first decoded frame, the first stands in.
        """
        height, width = target_size(self.info.height, self.info.width, size)
        return self._near(np.asarray(indices, np.int64), how, height, width)

    def _near(self, indices: NDArray[np.int64], how: FastSeek, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        for index in indices:
            yield from self._stream(range(int(index), int(index) + 1), height, width)

    def _iterate(self, wanted: range, height: int, width: int) -> Iterator[tuple[int, float, Frame]]:
        expected = missing = 0
        for index, frame in self._stream(wanted, height, width):
            position = wanted.index(index)
            missing, expected = missing + position - expected, position + 1
            yield index, float(self.times_s[index]), frame
        self._tell_missing(missing + len(wanted) - expected, len(wanted))

    def _tell_missing(self, missing: int, wanted: int) -> None:
        if missing:
            self.num_damaged += missing
            _log.warning("%s: %d of %d frames could not be decoded and were left out", self.info.path, missing, wanted)

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
