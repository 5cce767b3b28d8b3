"""Read videos with torchcodec, on request: the packet index is PyAV's, torchcodec decodes full-size frames.

It is not the default: it imports torch (seconds) and was not faster than PyAV in any measurement. Its full-size frames
equal PyAV's byte for byte, but it resizes in another way, so smaller frames are left to PyAV. The wheel from PyPI needs
FFmpeg's libraries on the machine; without them its import fails with OSError or RuntimeError.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from kinema.errors import MissingExtra
from kinema.video.container import local_name
from kinema.video.contract import Frame
from kinema.video.pyav_video import PyavVideo


class TorchcodecVideo(PyavVideo):
    """A video whose full-size frames torchcodec decodes; see `PyavVideo`.

    Raises:
        MissingExtra: torchcodec is not installed, or it does not find FFmpeg.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        try:
            from torchcodec.decoders import VideoDecoder
        except (ImportError, OSError, RuntimeError) as error:
            raise MissingExtra("videos read by torchcodec", "torchcodec", "torchcodec") from error
        super().__init__(path, threads)
        try:
            self._torchcodec = VideoDecoder(
                local_name(self._path), dimension_order="NHWC", num_ffmpeg_threads=threads or 1
            )
        except (RuntimeError, ValueError, OSError):
            self._torchcodec = None  # torchcodec cannot read files without timestamps or without seeking

    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        same_size = out.shape[1:3] == (self.info.height, self.info.width)
        if not same_size or self._torchcodec is None or len(self._torchcodec) != self.info.num_frames:
            super()._read(indices, rows, out)
            return
        try:
            out[rows] = self._torchcodec.get_frames_at(indices.tolist()).data.numpy()
        except (RuntimeError, IndexError, ValueError):
            super()._read(indices, rows, out)  # a frame is damaged: PyAV finds out which

    def close(self) -> None:
        """Close the file in both libraries."""
        self._torchcodec = None
        super().close()
