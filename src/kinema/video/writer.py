"""Write frames to a file: H.264 in .mp4, .m4v, .mov or .mkv, VP9 in .webm, or an animated .gif.

The file is complete or it does not exist: frames go to a temporary file, which replaces the target at the end.
"""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from PIL import Image

from kinema.errors import OutputError, UsageError
from kinema.files import whole_file, write_error
from kinema.video.container import local_name
from kinema.video.contract import Frame
from kinema.video.sound import Sound, SoundSource

_CODECS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), ("libx264", {"crf": "18", "preset": "veryfast"})),
    ".webm": ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6"}),
    ".gif": ("gif", {}),
}
_GIF_TICKS_PER_S = 100
_UNEVEN_TICKS_PER_S = 90_000


class VideoWriter:
    """Writes RGB frames as a video. Use it as a context manager.

    Args:
        path: the file; its ending chooses the format.
        fps: frame rate, not rounded.
        size: height and width of the frames. If the codec needs even numbers, the last row or column is repeated.
        pixel_aspect: width of a pixel over its height.
        uneven: whether each frame comes with its times.
        sound: a file whose sound is added; a GIF has none.

    Raises:
        UsageError: no format has this ending.
        OutputError: the file cannot be written, or no frame was written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float,
        size: tuple[int, int],
        *,
        pixel_aspect: float = 1.0,
        uneven: bool = False,
        sound: SoundSource | None = None,
    ) -> None:
        self._path = Path(path)
        self._ending = self._path.suffix.lower()
        if self._ending not in _CODECS:
            raise UsageError("cannot write a video with this ending", path, f"use one of {', '.join(_CODECS)}")
        if not fps > 0 or min(size) < 1:
            raise ValueError(f"a video needs a positive rate and size, got {fps=}, {size=}")
        self._fps, self._size = Fraction(fps).limit_denominator(100_000), size
        self._is_gif = self._ending == ".gif"
        self._aspect = Fraction(pixel_aspect).limit_denominator(1000)
        ticks = _GIF_TICKS_PER_S if self._is_gif else _UNEVEN_TICKS_PER_S if uneven else self._fps
        self._tick, self._has_times = 1 / Fraction(ticks), uneven
        self._last_tick = -1
        self._sound_source = None if self._is_gif else sound
        self._sound: Sound | None = None
        self.num_frames = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:  # which leaves no file behind after an error
            temporary = stack.enter_context(whole_file(self._path))
            try:
                self._open(temporary, stack)
            except av.FFmpegError as error:
                raise self._error(error) from error
            self._stack = stack.pop_all()
        return self

    def _open(self, temporary: Path, stack: contextlib.ExitStack) -> None:
        # faststart moves the index to the front, so that players can start before they have the whole file
        flags = {"movflags": "+faststart"} if self._ending in (".mp4", ".m4v", ".mov") else {}
        self._output = stack.enter_context(av.open(local_name(str(temporary)), "w", options=flags))
        codec, options = _CODECS[self._ending]
        track = self._output.add_stream(codec, rate=_GIF_TICKS_PER_S if self._is_gif else self._fps)
        assert isinstance(track, av.VideoStream)
        multiple = 2 if codec == "libx264" else 1
        track.height, track.width = (side + side % multiple for side in self._size)
        track.pix_fmt = "pal8" if self._is_gif else "yuv420p"
        track.options = dict(options)
        track.codec_context.time_base = self._tick
        track.codec_context.sample_aspect_ratio = self._aspect
        self._track = track
        if self._sound_source is not None:
            self._sound = Sound(self._sound_source, self._output, self._ending)
            stack.callback(self._sound.close)

    def write(self, frame: Frame, span_s: tuple[float, float] | None = None) -> None:
        """Append one frame [h w c] uint8 RGB.

        Args:
            frame: the frame.
            span_s: when it is displayed, from the first to the second time in seconds, if the video is uneven.

        Raises:
            ValueError: the frame has another size or type, or times are missing or without need.
            OutputError: no space, no permission.
        """
        if frame.shape != (*self._size, 3) or frame.dtype != np.uint8:
            raise ValueError(f"expected a uint8 frame {(*self._size, 3)}, got {frame.dtype} {frame.shape}")
        if (span_s is not None) != self._has_times:
            raise ValueError(f"a video with {self._has_times=} got a frame with {span_s=}")
        if self._is_gif:
            # 256 colours, chosen for each frame alone; its palette is [256 argb].
            image = Image.fromarray(frame).quantize(256, Image.Quantize.FASTOCTREE)
            colours = np.zeros((256, 4), np.uint8)
            palette = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
            colours[:, 0], colours[: len(palette), 1:] = 255, palette
            video_frame = av.VideoFrame.from_ndarray((np.asarray(image), colours), format="pal8")
        else:
            rows, columns = self._track.height - frame.shape[0], self._track.width - frame.shape[1]
            padded = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge") if rows or columns else frame
            video_frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
        start_s, end_s = span_s or (float(place / self._fps) for place in (self.num_frames, self.num_frames + 1))
        video_frame.time_base = self._tick
        # A GIF counts hundredths of a second: rounding the time of each frame, not the step, keeps the video's length.
        video_frame.pts = self._last_tick = max(round(start_s / self._tick), self._last_tick + 1)
        video_frame.duration = max(round(end_s / self._tick) - self._last_tick, 1)
        try:
            if self._sound is not None:
                self._sound.write_until(start_s)
            self._output.mux(self._track.encode(video_frame))
        except av.FFmpegError as error:
            raise self._error(error) from error
        self._end_s = end_s
        self.num_frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if not self.num_frames:
                raise OutputError("no frames were written", self._path, "nothing to make a video of")
            try:
                self._output.mux(self._track.encode(None))
                if self._sound is not None:
                    self._sound.write_until(self._end_s)
                self._output.close()
            except av.FFmpegError as failure:
                raise self._error(failure) from failure

    def _error(self, error: av.FFmpegError) -> OutputError:
        system = OSError(error.errno, error.strerror or str(error))
        failure = write_error(system, self._path)
        return failure if isinstance(failure, OutputError) else OutputError("cannot write", self._path, str(error))
