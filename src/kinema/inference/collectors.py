"""Sort the outputs of interleaved videos by video, and give one result per video, in the order of the videos.

`run_videos` is the only loop that reads files. A collector decides what becomes of the outputs: timelines here, features in
`kinema.inference.features`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from kinema.errors import KinemaError
from kinema.inference.reader import ClipViews, FrameViews, Item, ReadAhead, VideoEnd, VideoStart
from kinema.predictions import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.inference.batching import Batcher, ClipOutput
    from kinema.predictions import Prediction

Result = TypeVar("Result")
State = TypeVar("State")


@dataclass(slots=True)
class OpenVideo(Generic[State]):
    """A video that is being read: its first and last item, the collector's state, and the number of clips without output."""

    start: VideoStart | None = None
    state: State | None = None
    end: VideoEnd | None = None
    num_waiting: int = 0


class Collector(ABC, Generic[State, Result]):
    """Collects the outputs of interleaved videos and gives the results of finished videos in order.

    Args:
        paths: of all videos, in order.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths, self.videos = paths, dict[int, OpenVideo[State]]()
        self._next = 0

    @abstractmethod
    def begin(self, start: VideoStart) -> State:
        """State of a video without any output yet."""

    @abstractmethod
    def note(self, state: State, start: VideoStart, output: ClipOutput) -> None:
        """Add the output of a clip to the state of its video."""

    @abstractmethod
    def conclude(self, state: State, start: VideoStart, path: str, damage: str) -> Result:
        """Result of a video with all outputs; `damage` says which part of it could not be read."""

    def discard(self, state: State) -> None:
        """Free the state of a video that gives no result."""

    def take(self, item: Item) -> None:
        """Follow an item: a video starts or ends, or clips wait for the network."""
        video = self.videos.setdefault(item.number, OpenVideo())
        if isinstance(item, VideoStart):
            video.start, video.state = item, self.begin(item)
        elif isinstance(item, ClipViews):
            video.num_waiting += 1
        elif isinstance(item, FrameViews):
            video.num_waiting += len(item.clips)
        else:
            video.end = item

    def add(self, outputs: Iterable[ClipOutput]) -> None:
        """Add the outputs of clips to the states of their videos."""
        for output in outputs:
            video = self.videos[output.number]
            assert video.start is not None
            assert video.state is not None
            self.note(video.state, video.start, output)
            video.num_waiting -= 1

    def is_blocked(self, count: int) -> bool:
        """Whether more than `count` videos are open and the next result lacks only outputs of clips that were read."""
        video = self.videos.get(self._next)
        return video is not None and video.end is not None and len(self.videos) > count

    def finished(self) -> Iterator[Result | Failure]:
        """Results of the next videos that are complete."""
        while (video := self.videos.get(self._next)) and video.end and not video.num_waiting:
            path = self.paths[self._next]
            del self.videos[self._next]
            self._next += 1
            if video.end.error is None and video.start is not None and video.state is not None:
                yield self.conclude(video.state, video.start, path, video.end.damage)
                continue
            if video.state is not None:
                self.discard(video.state)
            yield Failure(path, video.end.error or KinemaError("not one clip", path))

    def close(self) -> None:
        """Free the states of unfinished videos."""
        for video in self.videos.values():
            if video.state is not None:
                self.discard(video.state)


def run_videos(
    read: Callable[[int, str], Iterator[Item]],
    batchers: Sequence[Batcher],
    collector: Collector[State, Result],
    *,
    num_threads: int,
    batch_size: int,
) -> Iterator[Result | Failure]:
    """Read videos ahead of the network, compute their clips in batches, and give the results in the order of the videos.

    Args:
        read: gives the items of a video, such as `ClipReader.read`.
        batchers: turn items into outputs.
        collector: knows the paths of the videos, and turns outputs into results.
        num_threads: videos that are read at the same time.
        batch_size: clips in a batch; sets how many items wait in memory.
    """
    paths = collector.paths
    if not paths:
        return
    try:
        with ReadAhead(read, paths, num_threads=num_threads, depth=2 * batch_size) as items:
            for item in items:
                collector.take(item)
                for batcher in batchers:
                    collector.add(batcher.take(item))
                if collector.is_blocked(4 * batch_size):
                    # Flush partial batches so that a video whose last clips fill no batch cannot block the others.
                    for batcher in batchers:
                        collector.add(batcher.finish())
                yield from collector.finished()
        for batcher in batchers:
            collector.add(batcher.finish())
        yield from collector.finished()
    finally:
        collector.close()


@dataclass(slots=True)
class _Sums:
    """Sums of scores over the views of each window [windows classes], and numbers of views [windows]."""

    scores: NDArray[np.float64]
    counts: NDArray[np.int64]


class Timelines(Collector[_Sums, "Prediction"]):
    """Mean scores of each window of each video.

    Args:
        paths: of all videos, in order.
        num_classes: length of a row of scores.
        predict: makes a prediction from path, plan, damage and scores [windows classes].
    """

    def __init__(
        self,
        paths: Sequence[str],
        num_classes: int,
        predict: Callable[[str, VideoStart, str, NDArray[np.float32]], Prediction],
    ) -> None:
        super().__init__(paths)
        self._num_classes, self._predict = num_classes, predict

    def begin(self, start: VideoStart) -> _Sums:
        """Sums of zero."""
        num_windows = len(start.windows.spans_s)
        return _Sums(np.zeros((num_windows, self._num_classes)), np.zeros(num_windows, np.int64))

    def note(self, state: _Sums, start: VideoStart, output: ClipOutput) -> None:
        """Add the scores [v classes] of a clip's views, or [v t classes] at each of its frames."""
        summed = output.values.sum(axis=0)
        if start.windows.frame_owner is None:
            state.scores[output.window] += summed
            state.counts[output.window] += len(output.values)
        else:
            windows = start.windows.frame_owner[output.window]
            state.scores[windows[windows >= 0]] += summed[windows >= 0]
            state.counts[windows[windows >= 0]] += len(output.values)

    def conclude(self, state: _Sums, start: VideoStart, path: str, damage: str) -> Prediction:
        """Prediction from the mean scores."""
        return self._predict(path, start, damage, (state.scores / state.counts[:, None]).astype(np.float32))
