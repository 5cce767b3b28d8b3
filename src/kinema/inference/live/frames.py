"""Live prediction frame by frame, for networks with a state: each frame is computed once, at a constant cost.

Frames go to the network at the rate at which it was trained. If the source is slower, a frame is fed several times; if it is
faster, frames between are skipped on purpose and not counted as dropped. If the network is slower than its rate, a few frames
wait, and the oldest of them are dropped and counted.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from kinema.clips.transforms import normalize, view_transform
from kinema.engines.scorer import check_numbers, to_scores
from kinema.inference.live.stream_thread import StreamFrame, StreamThread
from kinema.inference.live.types import EPSILON_S, LivePrediction, Stream, frame_interval_s
from kinema.localization.smoothing import RollingAverage
from kinema.models.device import autocast
from kinema.models.network import StreamingNetwork

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinema.inference.live.types import Frame
    from kinema.inference.predictor import Predictor
    from kinema.types import InputSpec

MOST_WAITING = 4
"""Number of frames that may wait for the network."""


class FrameSchedule:
    """Decides how often each frame is fed: once for each point of a grid of times that starts at the first frame.

    >>> from kinema.types import InputSpec
    >>> schedule = FrameSchedule(InputSpec(fps=10))
    >>> [schedule.repeats(number, number / 25) for number in range(6)]  # 10 of 25 frames a second are fed
    [1, 0, 0, 1, 0, 1]
    """

    def __init__(self, spec: InputSpec) -> None:
        self.interval_s, self.stride, self.most = frame_interval_s(spec), spec.frame_stride, spec.clip_len
        self.first_s, self.num_fed = 0.0, 0

    def repeats(self, number: int, time_s: float) -> int:
        """How often frame `number` of the source is fed: 0 skips it; after a gap at most as often as a clip has frames."""
        if self.interval_s is None:
            return int(number % self.stride == 0)
        if number == 0:
            self.first_s = time_s
        reached = math.floor((time_s - self.first_s + EPSILON_S) / self.interval_s) + 1
        count, self.num_fed = max(reached - self.num_fed, 0), max(reached, self.num_fed)
        return min(count, self.most)


class DueFrames(StreamThread):
    """Gives the frames of a stream that are to be fed, in order, with the number of repeats.

    Args:
        stream: is read to its end.
        schedule: which frames are fed, and how often.
        wait: make the stream wait until frames are taken, instead of dropping the oldest.
    """

    def __init__(self, stream: Stream, schedule: FrameSchedule, wait: bool = False) -> None:
        self.schedule, self.wait = schedule, wait
        self.num_dropped = 0
        self._waiting: deque[tuple[StreamFrame, int]] = deque()
        super().__init__(stream)

    def __iter__(self) -> Iterator[tuple[StreamFrame, int]]:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._waiting or self.ended)
                if not self._waiting:
                    break  # the stream ended and all of its frames were given
                taken = self._waiting.popleft()
                self.changed.notify_all()  # there is room for another frame
            yield taken
        if self.error is not None:
            raise self.error

    def keep(self, frame: StreamFrame) -> None:
        """Queue a frame if it is due."""
        repeats = self.schedule.repeats(frame.number, frame.time_s)
        if not repeats:
            return
        with self.changed:
            if self.wait:
                self.changed.wait_for(lambda: len(self._waiting) < MOST_WAITING or self.closing)
            elif len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.num_dropped += 1
            self._waiting.append((frame, repeats))
            self.changed.notify_all()


class StreamingScorer:
    """A streaming network with its state: takes the frames of one stream and gives scores after each."""

    def __init__(self, predictor: Predictor) -> None:
        network = predictor.network
        assert isinstance(network, StreamingNetwork)
        self.network, self.scorer = network, predictor.scorer
        self.multi_label = predictor.card.multi_label
        self.view = view_transform(network.spec)
        with torch.inference_mode():
            self.state = network.start(1)

    def __call__(self, frame: Frame, repeats: int = 1) -> NDArray[np.float32]:
        """Scores [classes] after a frame [h w c] uint8 that is fed `repeats` times."""
        pixels = self.view(torch.from_numpy(frame).permute(2, 0, 1)[None])
        with torch.inference_mode(), autocast(self.scorer.device, self.scorer.precision):
            ready = normalize(pixels.to(self.scorer.device), self.network.spec)[:, :, 0]
            for _ in range(repeats):
                logits, self.state = self.network.step(ready, self.state)
            return to_scores(logits.float().cpu().numpy(), self.multi_label)[0]


def watch_frames(
    predictor: Predictor, stream: Stream, *, rolling: int = 1, wait: bool = False
) -> Iterator[LivePrediction]:
    """Predict a stream frame by frame until it ends or the caller stops; then the stream is closed.

    Args:
        predictor: holds a `StreamingNetwork`.
        stream: an open stream.
        rolling: number of predictions in the rolling average.
        wait: feed every frame that is due, however long that takes; False drops frames that arrive too fast.

    Raises:
        VideoError: the stream broke.
        CheckpointError: a score is NaN or infinite.
    """
    score, smooth = StreamingScorer(predictor), RollingAverage(rolling)
    with contextlib.closing(DueFrames(stream, FrameSchedule(predictor.network.spec), wait)) as frames:
        for frame, repeats in frames:
            raw = score(frame.frame, repeats)
            check_numbers(raw, predictor.card.variant)
            latency_s = time.monotonic() - frame.arrived_s
            dropped = frames.num_dropped + stream.num_dropped
            yield LivePrediction(frame.clock_s, smooth.add(raw), raw, latency_s, dropped)
