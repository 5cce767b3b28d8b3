"""Films read with torchcodec, on request: the packet index stays ours, torchcodec decodes full-size frames.

It is not the default. It starts torch (seconds), was not quicker than PyAV wherever that was measured, and resizes
otherwise: its full-size frames are PyAV's to the byte, so smaller ones are left to PyAV. The wheel from PyPI needs
FFmpeg's libraries on the machine and fails at import with OSError or RuntimeError where they are missing.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.errors import MissingExtra
from kinema.video.contract import Frame
from kinema.video.pyav_video import Film


class TorchcodecFilm(Film):
    """A film whose full-size frames are decoded by torchcodec; see `Film`.

    Raises:
        MissingExtra: torchcodec is not installed, or its FFmpeg is missing.
    """

    _decoder: Any = None

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        decoder_class = _decoder_class()
        super().__init__(path, threads)
        try:
            self._decoder = decoder_class(self._path, dimension_order="NHWC", num_ffmpeg_threads=threads or 1)
        except (RuntimeError, ValueError, OSError):
            self._decoder = None  # not a file for torchcodec: no timestamps, no seeking

    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        same_size = out.shape[1:3] == (self.info.height, self.info.width)
        if not same_size or self._decoder is None or len(self._decoder) != self.info.num_frames:
            super()._read(indices, rows, out)
            return
        try:
            out[rows] = self._decoder.get_frames_at(indices.tolist()).data.numpy()
        except (RuntimeError, IndexError, ValueError):
            super()._read(indices, rows, out)  # a damaged frame: PyAV says which

    def close(self) -> None:
        """Let go of the file in both libraries."""
        self._decoder = None
        super().close()


def _decoder_class() -> Any:
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingExtra("videos read by torchcodec", "torchcodec", "torchcodec") from error
    return VideoDecoder
