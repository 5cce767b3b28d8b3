"""`kinema watch`: what is happening now, in the video of a camera, a pipe or a network stream."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import EngineName, Precision
from kinema.console.progress import open_trained
from kinema.errors import UnreadableVideo, UsageError, check_settings
from kinema.inference.live.latency import LatencyStats

if TYPE_CHECKING:
    from kinema.inference.live.types import LivePrediction

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
        check_settings({"seconds": self.seconds}, 0)


def watch(source: str, config: WatchConfig) -> int:
    """Say what is happening in a live stream, as it happens.

    Whenever the network is free, it scores the newest clip, so it never falls behind. A network with memory
    (`causal_small`, `cnn_lstm`, `tsm_causal`) sees each frame once. Press Ctrl-C to end. Latency is the time from the
    arrival of a frame to its prediction; p50, p95 and p99 are the times that 50, 95 and 99 % of them do not exceed.

    Examples:
        kinema watch 0 --model runs/slow_fusion-1/best

        kinema watch rtsp://camera.local/stream --model runs/slow_fusion-1 --rolling 10 --json

        kinema watch 0 --model runs/slow_fusion_small-1 --engine openvino

        ffmpeg -i match.mkv -f matroska - | kinema watch - --model runs/slow_fusion-1

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
        for live in predictions(predictor, source, rolling=config.rolling):
            printer(live)
            if config.seconds is not None and live.time_s >= config.seconds:
                break
    except KeyboardInterrupt:
        interrupted = True
    printer.finish()
    if not (printer.latency.count or interrupted):
        do = "check that it plays, or convert it with ffmpeg"
        raise UnreadableVideo("the stream ended without a frame that can be decoded", source, do)
    return 0


class _LivePrinter:
    """Prints predictions as they come, with their latency, and a summary at the end."""

    def __init__(self, config: WatchConfig, labels: tuple[str, ...]) -> None:
        self.config, self.labels = config, labels
        self.latency = LatencyStats()
        self.label = ""
        self.overwrites_line = sys.stdout.isatty() and not config.json

    def __call__(self, live: LivePrediction) -> None:
        self.latency.add(live.latency_s, live.dropped)
        order = (-live.scores).argsort(kind="stable")[: max(self.config.top, 1)]
        best = [(self.labels[index], float(live.scores[index])) for index in order]
        if self.config.json:
            print(json.dumps(as_json(live, best, self.latency)), flush=True)
            return
        text = f"{live.time_s:8.1f} s  " + "  ".join(f"{label} {score:.0%}" for label, score in best)
        if self.overwrites_line:
            line = f"{text}  ({self.latency.per_s:.1f} a second, {self.latency})"
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        elif best[0][0] != self.label:
            print(text, flush=True)
        self.label = best[0][0]

    def finish(self) -> None:
        """Print the number of predictions, their rate and latency on standard error."""
        if not self.latency.count:
            return
        if self.overwrites_line:
            print()
        count = f"{self.latency.count} predictions" if self.latency.count > 1 else "1 prediction"
        rate = f", {self.latency.per_s:.1f} a second" if self.latency.per_s else ""
        print(f"kinema: {count}{rate}, {self.latency}", file=sys.stderr)


def as_json(live: LivePrediction, best: list[tuple[str, float]], latency: LatencyStats) -> dict[str, object]:
    """One prediction as a plain dictionary, with the rate and the latencies so far."""
    return {
        "time_s": round(live.time_s, 3),
        "top": [{"label": label, "score": round(score, 4)} for label, score in best],
        "latency_s": round(live.latency_s, 4),
        **latency.to_json(),
    }
