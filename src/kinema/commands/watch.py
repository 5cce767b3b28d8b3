"""`kinema watch`: what is happening now, in the video of a camera, a pipe or a network stream."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import EngineName, Precision
from kinema.console.progress import open_trained
from kinema.errors import UnreadableVideo, UsageError, check_settings
from kinema.inference.live.latency import LatencyStats

if TYPE_CHECKING:
    from kinema.inference.live.types import LivePrediction
    from kinema.video.stream import Stream
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """Settings of a live prediction."""

    model: str
    """A checkpoint folder, a run folder with best/ in it, or published weights by name (`kinema models --weights`)."""
    rolling: int = 5
    """Average this many last predictions, so that the label flickers less; 1 is off."""
    top: int = 3
    """Labels that are shown."""
    seconds: float | None = None
    """Stop after this many seconds of the stream."""
    reconnect: int = 10
    """If a camera or a network address drops, open it again, at most this often in a row, with waits of 0.5 s that grow to
    30 s; 0 stops at the first drop. Files, pipes and addresses of a known length end when they end."""
    json: bool = False
    """Print one line of JSON for each prediction."""
    engine: EngineName = "auto"
    """What computes a network that scores clips: torch, openvino (on a CPU; it is converted at the first use), or auto,
    which is usually the fastest. Networks that go frame by frame always use torch."""
    device: str = "auto"
    """Device of the network: auto, cpu, cuda, cuda:1."""
    precision: Precision = "auto"
    """Number format; auto is bf16 if the machine is fast at it, else f32."""

    def __post_init__(self) -> None:
        check_settings({"rolling": self.rolling, "top": self.top}, 1)
        check_settings({"seconds": self.seconds, "reconnect": self.reconnect}, 0)


def watch(source: str, config: WatchConfig) -> int:
    """Say what is happening in a live stream, as it happens.

    Whenever the network is free, it scores the newest clip, so it never falls behind. A network with memory
    (`causal_small`, `cnn_lstm`, `tsm_causal`) sees each frame once. A file plays in real time; all other sources are taken as
    fast as they arrive. Press Ctrl-C to end; a summary follows. Latency is the time from the arrival of a frame to its
    prediction; p50, p95 and p99 are the times that 50, 95 and 99 % of them do not exceed.

    Examples:
        kinema watch 0 --model runs/slow_fusion-1/best

        kinema watch rtsp://camera.local/stream --model runs/slow_fusion-1 --rolling 10 --json

        kinema watch 0 --model runs/slow_fusion_small-1 --engine openvino

        ffmpeg -re -i match.mkv -f matroska - | kinema watch - --model runs/slow_fusion-1

    Args:
        source: a camera (0, /dev/video0), an rtsp or http address, a file (plays in real time), or `-` for a pipe.
    """
    from kinema.inference.live.clips import watch as predictions
    from kinema.inference.live.types import clip_span_s, goes_frame_by_frame
    from kinema.inference.predictor import Predictor

    if Path(source).is_dir():
        raise UsageError(
            "a folder cannot be watched", source, "give a camera, a file or an address; see kinema predict"
        )
    network, card = open_trained(config.model)
    check_task(card)
    frame_by_frame = goes_frame_by_frame(network)
    if frame_by_frame and config.engine not in ("auto", "torch"):
        log.info("engine: torch, not %s; %s remembers and goes frame by frame", config.engine, card.variant)
    engine: EngineName = "torch" if frame_by_frame else config.engine
    predictor = Predictor(network, card, device=config.device, precision=config.precision, engine=engine)
    wait_s = None if frame_by_frame else clip_span_s(network.spec)
    if wait_s is not None and wait_s > 1 and sys.stderr.isatty():
        log.info("the first label comes after %.1f s, the length of a clip", wait_s)
    printer, interrupted = _LivePrinter(config, predictor.labels), False
    try:
        with _terminate_as_interrupt():
            found = predictions(
                predictor, source, rolling=config.rolling, reconnect=config.reconnect, on_open=printer.start
            )
            for live in found:
                printer(live)
                if config.seconds is not None and live.time_s >= config.seconds:
                    break
    except KeyboardInterrupt:
        interrupted = True
    finally:
        printer.finish()
    if not (printer.latency.count or interrupted):
        do = "check that it plays, or convert it with ffmpeg"
        raise UnreadableVideo("the stream ended without a frame that can be decoded", source, do)
    return 0


def check_task(card: ModelCard) -> None:
    """Make sure that a network labels clips or frames, as they come.

    Raises:
        UsageError: it has another task.
    """
    if card.task not in ("clip", "frame"):
        what, do = f"a network of task {card.task} needs whole videos", "watch with the network that it was trained on"
        raise UsageError(what, card.variant, do)


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, by which services are stopped, end the command as Ctrl-C does, so that the summary is printed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _LivePrinter:
    """Prints predictions as they come, with their latency, and a summary at the end."""

    def __init__(self, config: WatchConfig, labels: tuple[str, ...]) -> None:
        self.config, self.labels = config, labels
        self.latency = LatencyStats()
        self.label = ""
        self.stream: Stream | None = None
        self.started_s = time.monotonic()
        self.timer: threading.Timer | None = None
        self.overwrites_line = sys.stdout.isatty() and not config.json

    def start(self, stream: Stream) -> None:
        """The source is open. `--seconds` ends a live source even while it gives no frames."""
        self.stream, self.started_s = stream, time.monotonic()
        if self.config.seconds is not None and stream.is_live:
            self.timer = threading.Timer(self.config.seconds + 1, stream.close)
            self.timer.daemon = True
            self.timer.start()

    def counts(self) -> dict[str, float]:
        """What was watched so far."""
        received, reconnections = (self.stream.num_received, self.stream.num_reconnections) if self.stream else (0, 0)
        watched_s = round(time.monotonic() - self.started_s, 3)
        return {
            "watched_s": watched_s,
            "received": received,
            "reconnections": reconnections,
            "predictions": self.latency.count,
        }

    def __call__(self, live: LivePrediction) -> None:
        self.latency.add(live.latency_s, live.dropped)
        order = (-live.scores).argsort(kind="stable")[: max(self.config.top, 1)]
        best = [(self.labels[index], float(live.scores[index])) for index in order]
        if self.config.json:
            print(json.dumps(as_json(live, best, self.latency) | self.counts()), flush=True)
            return
        text = f"{live.time_s:8.1f} s  " + "  ".join(f"{label} {score:.0%}" for label, score in best)
        if self.overwrites_line:
            line = f"{text}  ({self.latency.per_s:.1f} a second, {self.latency})"
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        elif best[0][0] != self.label:
            print(text, flush=True)
        self.label = best[0][0]

    def finish(self) -> None:
        """Print how long was watched, the numbers of frames and predictions, rate and latency on standard error."""
        if self.timer is not None:
            self.timer.cancel()
        if self.stream is None or not self.stream.num_received:
            return
        if self.overwrites_line and self.latency.count:
            print()
        counts, rate = self.counts(), f", {self.latency.per_s:.1f} a second" if self.latency.per_s else ""
        words = (
            f"watched {counts['watched_s']:.1f} s",
            f"{counts['received']} frames received",
            f"{counts['reconnections']} reconnection{'' if counts['reconnections'] == 1 else 's'}",
            f"{self.latency.count} predictions{rate}",
            str(self.latency) if self.latency.count else f"{self.stream.num_dropped} frames dropped",
        )
        print(f"kinema: {', '.join(words)}", file=sys.stderr)


def as_json(live: LivePrediction, best: list[tuple[str, float]], latency: LatencyStats) -> dict[str, object]:
    """One prediction as a plain dictionary, with the rate and the latencies so far."""
    return {
        "time_s": round(live.time_s, 3),
        "top": [{"label": label, "score": round(score, 4)} for label, score in best],
        "latency_s": round(live.latency_s, 4),
        **latency.to_json(),
    }
