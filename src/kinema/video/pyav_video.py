"""Videos read with PyAV (FFmpeg): exact frames by display number, upright and in RGB; see `frame_decoder`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from kinema.choices import FastSeek
from kinema.errors import UnreadableVideo
from kinema.types import VideoInfo
from kinema.video.contract import Frame, Size, Video, target_size
from kinema.video.frame_decoder import FrameDecoder
from kinema.video.frame_times import bounded
from kinema.video.frames_in_order import Convert
from kinema.video.nearest_decoded import nearest_decoded
from kinema.video.pixels import FrameConverter, rotation_of

_log = logging.getLogger("kinema")

_CHOSEN_FRAMES = {"nonref": "non-reference frames", "keyframes": "keyframes"}


class PyavVideo(Video):
    """A video file read with PyAV; see `kinema.video.open_video`.

    Args:
        path: the file.
        threads: decoding threads; None takes one for small frames and short videos, else two per core (at most 8).

    Raises:
        UnreadableVideo: not a video, damaged, or no video track.
        EmptyVideo: the video track has no frames.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        super().__init__()
        self._path = os.fspath(path)
        decoder = self._decoder = FrameDecoder(self._path, threads)
        try:
            first = decoder.first_frame()
        except BaseException:
            decoder.close()
            raise
        self.promised_s, self.zero_s = decoder.promised_s, decoder.zero_s
        self._rotation = rotation_of(first)
        self.pixel_aspect = 1 / decoder.pixel_aspect if self._rotation.transposed else decoder.pixel_aspect
        height, width = (first.width, first.height) if self._rotation.transposed else (first.height, first.width)
        index, nominal = decoder.index, decoder.nominal_fps
        num_frames, times_s = index.num_frames, index.times_s(nominal)
        # The display time that files state for their last frame may be nonsense. It is used if it is less than 100 times
        # that of the other frames, or if the duration then agrees with the header; else theirs is used.
        length_s, stated_s = float(times_s[-1]), float(index.last_ticks * index.time_base)
        mean_s = length_s / max(num_frames - 1, 1)
        agrees = abs(decoder.late_s + length_s + stated_s - self.promised_s) <= max(mean_s, 0.01 * self.promised_s)
        last_frame_s = (stated_s if not mean_s or 0 < stated_s < 100 * mean_s or agrees else mean_s) or 1 / nominal
        times_s = times_s + decoder.late_s if decoder.late_s else times_s
        self.times_s, last_frame_s, self._fault = bounded(times_s, last_frame_s, 1 / nominal)
        if index.displaced.any():
            self._fault = (
                f"impossible timestamps: {np.count_nonzero(index.displaced)} in another place than their frames"
            )
        self.promised_s = 0.0 if self._fault else self.promised_s
        faults = [self._fault] if self._fault else []
        self._fault = " and ".join(faults + ["the rest of the file cannot be read"] * index.is_broken)
        if self._fault:
            _log.warning("%s: %s", self._path, self._fault)
        duration_s = float(self.times_s[-1]) + last_frame_s
        self.promised_s = decoder.lasts_until_s(duration_s) if self.promised_s else 0.0
        measured = num_frames / (duration_s - float(self.times_s[0]))
        fps = nominal if abs(measured / nominal - 1) < 0.01 else measured
        self.info = VideoInfo(self._path, num_frames, fps, duration_s, height, width)
        self._concealed, self._num_refused = decoder.concealed, decoder.num_refused
        self._warn((0, 0), num_frames)

    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        converter = FrameConverter(out.shape[1], out.shape[2], self._rotation)
        left, known = dict(zip(indices.tolist(), rows.tolist(), strict=True)), self._num_lost_and_concealed()

        def convert(index: int, decoded: av.VideoFrame) -> None:
            converter.convert(decoded, out[left[index]])

        for index, _ in self._decoder.decode(indices, convert):
            del left[index]
        self._warn(known, len(indices))
        if left:
            index = min(left)
            where = f"{self._path} frame {index} ({self.times_s[index]:.3f} s)"
            raise UnreadableVideo("the video is damaged", where, "export it again, or read around the damage")

    def _stream(self, indices: range, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        # Between two frames the caller may use the video for something else, and the decoder moves. `request` shows it; the
        # remaining frames are then requested anew.
        convert = self._converter(height, width)
        position = 0
        while position < len(indices):
            frames = self._decoder.decode(np.asarray(indices[position:], np.int64), convert)
            request = self._decoder.request + 1  # a generator counts its request when its first frame is taken
            for index, frame in frames:
                position = indices.index(index) + 1
                yield index, frame
                if self._decoder.request != request or position == len(indices):
                    break
            else:
                return

    def _converter(self, height: int, width: int) -> Convert[Frame]:
        converter = FrameConverter(height, width, self._rotation)

        def convert(_: int, decoded: av.VideoFrame) -> Frame:
            frame = np.empty((height, width, 3), np.uint8)
            converter.convert(decoded, frame)
            return frame

        return convert

    def frames_near(
        self, indices: NDArray[np.integer], how: FastSeek, size: Size = None
    ) -> Iterator[tuple[int, Frame]]:
        """See `Video.frames_near`."""
        height, width = target_size(self.info.height, self.info.width, size)
        convert = self._converter(height, width)
        wanted, keys = np.asarray(indices, np.int64), self._decoder.index.key_frames
        chosen, known = wanted, self._num_lost_and_concealed()
        if how == "keyframes" and len(keys):
            chosen = np.unique(keys[np.maximum(np.searchsorted(keys, wanted, side="right") - 1, 0)])
            frames = self._decoder.decode_keyframes(chosen, convert)
        elif how == "nonref" and self._decoder.can_skip:  # damaged frames are counted during decoding
            decoded_frames = self._decoder.decode_reference_frames(wanted, self._count_missing)
            chosen = wanted[:0]
            frames = ((index, convert(index, frame)) for index, frame in nearest_decoded(wanted, decoded_frames))
        else:
            if how != "none":
                _log.info("%s: every frame is decoded; the file does not mark its %s", self._path, _CHOSEN_FRAMES[how])
            frames = self._decoder.decode(wanted, convert)
        lost = set(chosen.tolist())
        for index, frame in frames:
            lost.discard(index)
            yield index, frame
        self._lost.update(lost)
        self._warn(known, len(chosen) or len(wanted))

    def _count_missing(self, missing: NDArray[np.int64], requested: int) -> None:
        self.count_lost(missing.tolist(), requested)

    def close(self) -> None:
        """Close the file and release the decoder's memory."""
        self._decoder.close()
