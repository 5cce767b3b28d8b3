"""`kinema watch`: what is happening now, from a camera, a pipe or a network stream."""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kinema.errors import UsageError, check_settings
from kinema.recipes.trained import open_trained

if TYPE_CHECKING:
    from kinema.inference.streaming import LivePrediction

log = logging.getLogger("kinema")

_MOST_LATENCIES = 1000  # a stream may run for weeks


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """Settings of a live prediction."""

    model: str
    """A checkpoint folder, a run folder with best/ in it, or published weights by name (`kinema models --weights`)."""
    rolling: int = 5
    """Average the last so many predictions, which takes the flicker out of the label; 1 is off."""
    top: int = 3
    """How many labels are shown."""
    seconds: float | None = None
    """Stop after so many seconds of the stream."""
    json: bool = False
    """Print a line of JSON a prediction."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1."""
    precision: Literal["auto", "f32", "bf16", "fp16"] = "auto"
    """Number format; auto is bf16 where the machine is fast at it, else f32."""

    def __post_init__(self) -> None:
        check_settings({"rolling": self.rolling, "top": self.top}, 1)
        check_settings({"seconds": self.seconds}, 0)


def watch(source: str, config: WatchConfig) -> int:
    """Say what is happening in a live stream, as it happens.

    The network looks at the newest clip whenever it is free, so it never falls behind. A network that remembers
    (`causal_small`, `cnn_lstm`, `tsm_causal`) looks at each frame once. Press Ctrl-C to end.

    Examples:
        kinema watch 0 --model runs/slow_fusion-1/best

        kinema watch rtsp://camera.local/stream --model runs/slow_fusion-1 --rolling 10 --json

        ffmpeg -i film.mkv -f matroska - | kinema watch - --model runs/slow_fusion-1

    Args:
        source: a camera (0, /dev/video0), an rtsp or http address, a file (plays in real time), or `-` for a pipe.
    """
    from kinema.inference.live import goes_frame_by_frame, reach_s
    from kinema.inference.predictor import Predictor
    from kinema.inference.streaming import watch as predictions

    if Path(source).is_dir():
        raise UsageError(
            "a folder cannot be watched", source, "give a camera, a file or an address; see kinema predict"
        )
    predictor = Predictor(*open_trained(config.model), device=config.device, precision=config.precision)
    wait_s = None if goes_frame_by_frame(predictor.network) else reach_s(predictor.network.spec)
    if wait_s is not None and wait_s > 1 and sys.stderr.isatty():
        log.info("the first label comes after %.1f s: so much the network looks at", wait_s)
    seen = _Seen(config, predictor.labels)
    try:
        for live in predictions(predictor, source, rolling=config.rolling):
            seen(live)
            if config.seconds is not None and live.time_s >= config.seconds:
                break
    except KeyboardInterrupt:
        pass
    seen.finish()
    return 0


class _Seen:
    """Prints predictions as they come, and what they cost in the end."""

    def __init__(self, config: WatchConfig, labels: tuple[str, ...]) -> None:
        self.config, self.labels = config, labels
        self.latencies_s: deque[float] = deque(maxlen=_MOST_LATENCIES)
        self.count = 0
        self.first_s = self.last_s = 0.0
        self.dropped = 0
        self.label = ""
        self.live_line = sys.stdout.isatty() and not config.json

    def __call__(self, live: LivePrediction) -> None:
        self.first_s = self.first_s if self.count else live.time_s
        self.latencies_s.append(live.latency_s)
        self.count += 1
        self.last_s, self.dropped = live.time_s, live.dropped
        best = self.best(live)
        if self.config.json:
            print(json.dumps(as_json(live, best, percentiles(self.latencies_s))), flush=True)
            return
        text = f"{live.time_s:8.1f} s  " + "  ".join(f"{label} {score:.0%}" for label, score in best)
        if self.live_line:
            line = f"{text}  ({1000 * live.latency_s:.0f} ms)"
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        elif best[0][0] != self.label:
            print(text, flush=True)
        self.label = best[0][0]

    def best(self, live: LivePrediction) -> list[tuple[str, float]]:
        """The best labels with their scores."""
        order = (-live.scores).argsort(kind="stable")[: max(self.config.top, 1)]
        return [(self.labels[index], float(live.scores[index])) for index in order]

    def finish(self) -> None:
        """Say how fast it went, on standard error."""
        if self.live_line:
            print()
        if not self.latencies_s:
            print("kinema: the stream ended without a frame", file=sys.stderr)
            return
        seconds = self.last_s - self.first_s
        pace = f"{self.count} predictions, {(self.count - 1) / seconds:.1f} a second" if seconds > 0 else "1 prediction"
        shares = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in percentiles(self.latencies_s).items())
        text = f"{pace}, latency {shares}, {self.dropped} frames not seen"
        print(f"kinema: {text}", file=sys.stderr)


def percentiles(latencies_s: Collection[float]) -> dict[str, float]:
    """How long half, 95 and 99 of a hundred predictions took at most, in seconds."""
    ordered = sorted(latencies_s)
    return {f"p{share}": ordered[math.ceil(len(ordered) * share / 100) - 1] for share in (50, 95, 99)}


def as_json(live: LivePrediction, best: list[tuple[str, float]], shares: dict[str, float]) -> dict[str, Any]:
    """One prediction as a plain dictionary; `shares` are the percentiles of latency so far."""
    return {
        "time_s": round(live.time_s, 3),
        "top": [{"label": label, "score": round(score, 4)} for label, score in best],
        "latency_s": round(live.latency_s, 4),
        **{f"latency_{name}_s": round(value, 4) for name, value in shares.items()},
        "dropped": live.dropped,
    }
