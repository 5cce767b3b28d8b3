"""Extract features with a trained network: one vector for each clip of a video (Tran et al. 2015).

Videos are read and batched as for prediction. The vectors of a video are written to a temporary file once they are many, so
memory is constant for videos of any length, and a video that turns out to be broken leaves nothing behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kinema.clips.windows import WindowOptions
from kinema.engines.scorer import check_numbers
from kinema.inference.activations import reader
from kinema.inference.batching import Batcher, ClipOutput, SharedFrames, WholeClips
from kinema.inference.collectors import Collector, run_videos
from kinema.inference.options import FeatureOptions
from kinema.inference.reader import ClipReader, VideoStart
from kinema.predictions import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.engines.scorer import Scorer

_IN_MEMORY = 16 << 20
_ROWS = 256


@dataclass(slots=True)
class VideoFeatures:
    """Features of one video: a vector per clip, in order of time.

    `spans_s` [n 2] are start and end of each clip; `damage` says which part of the video could not be read.
    """

    path: str
    spans_s: NDArray[np.float64]
    dim: int
    damage: str
    _rows: tempfile.SpooledTemporaryFile[bytes]

    def __len__(self) -> int:
        return len(self.spans_s)

    def chunks(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float32]]]:
        """Spans and features [m f], some clips at a time; can be read once."""
        self._rows.seek(0)
        for first in range(0, len(self), _ROWS):
            spans_s = self.spans_s[first : first + _ROWS]
            rows = self._rows.read(len(spans_s) * self.dim * 4)
            yield spans_s, np.frombuffer(rows, np.float32).reshape(len(spans_s), self.dim)
        self._rows.close()


def extract_many(
    scorer: Scorer, paths: Sequence[str], options: FeatureOptions, num_threads: int
) -> Iterator[VideoFeatures | Failure]:
    """Features of videos, in their order; a video that cannot be read gives a `Failure` and does not stop the others.

    Args:
        scorer: holds the network, in evaluation mode.
        paths: files or folders of images.
        options: which clips, and which vectors.
        num_threads: videos that are decoded at the same time.
    """
    read = reader(scorer.scoring_network, options.layer, options.pool)
    batchers: list[Batcher] = [WholeClips(partial(scorer.apply, read), scorer.batch_size)]
    by_frame = scorer.frame_scorer() if options.layer is None and not scorer.spec.has_flow else None
    if by_frame is not None:
        batchers.append(SharedFrames(by_frame, by_frame.features))
    windows = WindowOptions(options.step_s, 1, options.window_s)
    source = ClipReader(scorer.network.spec, windows, by_frame=by_frame is not None, image_fps=options.image_fps)
    return run_videos(source.read, batchers, FeatureRows(paths), num_threads=num_threads, batch_size=scorer.batch_size)


@dataclass(slots=True)
class _Rows:
    """Features of a video's clips so far: the window of each clip, and the vectors in a file."""

    file: tempfile.SpooledTemporaryFile[bytes]
    windows: list[int] = field(default_factory=list)
    dim: int = 0


class FeatureRows(Collector[_Rows, "VideoFeatures"]):
    """Features of each clip of each video."""

    def begin(self, start: VideoStart) -> _Rows:
        """An empty file; closed by `VideoFeatures.chunks` or `discard`."""
        return _Rows(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))

    def note(self, state: _Rows, start: VideoStart, output: ClipOutput) -> None:
        """Write the features [1 f] of a clip to the file.

        Raises:
            CheckpointError: a value is NaN or infinite.
        """
        check_numbers(output.values, start.info.path)
        state.windows.append(output.window)
        state.dim = output.values.shape[1]
        state.file.write(np.ascontiguousarray(output.values, np.float32).tobytes())

    def conclude(self, state: _Rows, start: VideoStart, path: str, damage: str) -> VideoFeatures:
        """The features in the order in which they were written."""
        return VideoFeatures(path, start.windows.spans_s[state.windows], state.dim, damage, state.file)

    def discard(self, state: _Rows) -> None:
        """Close the file."""
        state.file.close()
