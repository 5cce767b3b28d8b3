"""Live prediction frame by frame, for networks that remember: each frame is looked at once, and costs the same.

Frames are fed at the rate at which the network learned: as far apart in time as those of its clips were. Where the
source is slower, a frame is fed again; where it is faster, frames between are left out, which is no loss and is not
counted. Where the network is slower than that rate, a few frames wait and the oldest of them are dropped and counted.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.clips.transforms import normalize, view_transform
from kinema.engines.scorer import check_numbers, to_scores
from kinema.inference.live.types import EPSILON_S, LivePrediction, Stream, arrival_s, step_s
from kinema.localization.smoothing import RollingAverage
from kinema.models.device import autocast
from kinema.models.network import StreamingNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.inference.live.types import Frame
    from kinema.inference.predictor import Predictor
    from kinema.types import InputSpec

MOST_WAITING = 4
"""Steps by which a network may be behind its source."""


class Steps:
    """Says how often a frame is to be fed: a grid of times, laid from the first frame on.

    >>> from kinema.types import InputSpec
    >>> steps = Steps(InputSpec(fps=10))
    >>> [steps.due(number, number / 25) for number in range(6)]  # of 25 frames a second, 10 are due
    [1, 0, 0, 1, 0, 1]
    """

    def __init__(self, spec: InputSpec) -> None:
        self.step_s, self.stride, self.most = step_s(spec), spec.frame_stride, spec.clip_len
        self.first_s, self.num_done = 0.0, 0

    def due(self, number: int, time_s: float) -> int:
        """Steps due with frame `number` of the source; after a gap no more than a clip has."""
        if self.step_s is None:
            return int(number % self.stride == 0)
        if number == 0:
            self.first_s = time_s
        reached = math.floor((time_s - self.first_s + EPSILON_S) / self.step_s) + 1
        count, self.num_done = max(reached - self.num_done, 0), max(reached, self.num_done)
        return min(count, self.most)


@dataclass(frozen=True, slots=True)
class _Due:
    time_s: float
    arrived_s: float
    frame: Frame
    count: int


class DueFrames:
    """Reads a stream in a thread and gives the frames that are due, in order.

    Args:
        stream: read to its end; closed by `close`.
        steps: which frames are due.
        wait: let the stream wait until frames are taken, instead of dropping the oldest.
    """

    def __init__(self, stream: Stream, steps: Steps, wait: bool = False) -> None:
        self.stream, self.steps, self.wait = stream, steps, wait
        self.num_dropped = 0
        self._waiting: deque[_Due] = deque()
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._ended = self._closing = False
        self._thread = threading.Thread(target=self._read, daemon=True, name="live-steps")
        self._thread.start()

    def __iter__(self) -> Iterator[_Due]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                taken = self._waiting.popleft()
                self._changed.notify_all()
            yield taken
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop reading."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self.stream.close()
        self._thread.join(timeout=5)

    def _read(self) -> None:
        try:
            for number, (time_s, frame) in enumerate(self.stream):
                if count := self.steps.due(number, time_s):
                    self._offer(_Due(time_s, arrival_s(self.stream), frame, count))
                if self._closing:
                    break
        except Exception as error:  # handed over to whoever iterates
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _offer(self, item: _Due) -> None:
        with self._changed:
            if self.wait:
                self._changed.wait_for(lambda: len(self._waiting) < MOST_WAITING or self._closing)
            elif len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.num_dropped += 1
            self._waiting.append(item)
            self._changed.notify_all()


class Stepper:
    """A streaming network in the middle of a stream: takes frames, gives scores."""

    def __init__(self, predictor: Predictor) -> None:
        network = predictor.network
        assert isinstance(network, StreamingNetwork)
        self.network, self.scorer = network, predictor.scorer
        self.multi_label = predictor.card.multi_label
        self.view = view_transform(network.spec)
        with torch.inference_mode():
            self.state = network.start(1)

    def __call__(self, frame: Frame, count: int = 1) -> NDArray[np.float32]:
        """Scores [classes] after a frame [h w c] uint8 that is fed `count` times."""
        pixels = self.view(torch.from_numpy(frame).permute(2, 0, 1)[None])
        with torch.inference_mode(), autocast(self.scorer.device, self.scorer.precision):
            ready = normalize(pixels.to(self.scorer.device), self.network.spec)[:, :, 0]
            for _ in range(count):
                logits, self.state = self.network.step(ready, self.state)
            return to_scores(logits.float().cpu().numpy(), self.multi_label)[0]


def watch_steps(
    predictor: Predictor, stream: Stream, *, rolling: int = 1, wait: bool = False
) -> Iterator[LivePrediction]:
    """Predict a stream frame by frame until it ends or the caller stops; it is closed in the end.

    Args:
        predictor: holds a `StreamingNetwork`.
        stream: an open one.
        rolling: average the last so many predictions.
        wait: take every frame that is due, however long that takes; False drops what comes too fast.

    Raises:
        VideoError: the stream broke.
        CheckpointError: the scores are not numbers.
    """
    step, smooth = Stepper(predictor), RollingAverage(rolling)
    frames = DueFrames(stream, Steps(predictor.network.spec), wait)
    with contextlib.closing(frames):
        for due in frames:
            raw = step(due.frame, due.count)
            check_numbers(raw, predictor.card.variant)
            latency_s = time.monotonic() - due.arrived_s
            dropped = frames.num_dropped + stream.num_dropped
            yield LivePrediction(due.time_s, smooth.add(raw), raw, latency_s, dropped)
