"""`kinema watch`: what is happening now, from a camera, a pipe or a network stream."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.choices import Engine, Precision
from kinema.console.progress import open_trained
from kinema.errors import UnreadableVideo, UsageError, check_settings
from kinema.inference.live.latency import Pace

if TYPE_CHECKING:
    from kinema.inference.live.clips import LivePrediction
    from kinema.inference.predictor import Predictor

log = logging.getLogger("kinema")


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
    engine: Engine = "auto"
    """What computes a network that looks at clips: torch, openvino or winograd (on a CPU, prepared at the first use),
    or auto: what is usually the fastest. Networks that go frame by frame stay in torch."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1."""
    precision: Precision = "auto"
    """Number format; auto is bf16 where the machine is fast at it, else f32."""

    def __post_init__(self) -> None:
        check_settings({"rolling": self.rolling, "top": self.top}, 1)
        check_settings({"seconds": self.seconds}, 0)


def watch(source: str, config: WatchConfig) -> int:
    """Say what is happening in a live stream, as it happens.

    The network looks at the newest clip whenever it is free, so it never falls behind. A network that remembers
    (`causal_small`, `cnn_lstm`, `tsm_causal`) looks at each frame once. Press Ctrl-C to end. Latency is the time from the
    arrival of a frame to its prediction; half, 95 and 99 of a hundred predictions took at most so long.

    Examples:
        kinema watch 0 --model runs/slow_fusion-1/best

        kinema watch rtsp://camera.local/stream --model runs/slow_fusion-1 --rolling 10 --json

        kinema watch 0 --model runs/slow_fusion_small-1 --engine openvino

        ffmpeg -i film.mkv -f matroska - | kinema watch - --model runs/slow_fusion-1

    Args:
        source: a camera (0, /dev/video0), an rtsp or http address, a file (plays in real time), or `-` for a pipe.
    """
    from kinema.inference.live.clips import watch as predictions
    from kinema.inference.live.types import goes_frame_by_frame, reach_s

    if Path(source).is_dir():
        raise UsageError(
            "a folder cannot be watched", source, "give a camera, a file or an address; see kinema predict"
        )
    predictor = _open(config)
    wait_s = None if goes_frame_by_frame(predictor.network) else reach_s(predictor.network.spec)
    if wait_s is not None and wait_s > 1 and sys.stderr.isatty():
        log.info("the first label comes after %.1f s: so much the network looks at", wait_s)
    seen, interrupted = _Seen(config, predictor.labels), False
    try:
        for live in predictions(predictor, source, rolling=config.rolling):
            seen(live)
            if config.seconds is not None and live.time_s >= config.seconds:
                break
    except KeyboardInterrupt:
        interrupted = True
    seen.finish()
    if not (seen.pace.count or interrupted):
        do = "check that it plays, or convert it with ffmpeg"
        raise UnreadableVideo("the stream ended without a frame that can be decoded", source, do)
    return 0


def _open(config: WatchConfig) -> Predictor:
    """The network; in torch where it goes frame by frame, whatever the engine."""
    from kinema.inference.live.types import goes_frame_by_frame
    from kinema.inference.predictor import Predictor

    network, card = open_trained(config.model)
    engine = config.engine
    if goes_frame_by_frame(network) and engine != "torch":
        if engine != "auto":
            log.info("engine: torch, not %s; %s remembers and goes frame by frame", engine, card.variant)
        engine = "torch"
    return Predictor(network, card, device=config.device, precision=config.precision, engine=engine)


class _Seen:
    """Prints predictions as they come, how fast they come, and how fast they came in the end."""

    def __init__(self, config: WatchConfig, labels: tuple[str, ...]) -> None:
        self.config, self.labels = config, labels
        self.pace = Pace()
        self.label = ""
        self.live_line = sys.stdout.isatty() and not config.json

    def __call__(self, live: LivePrediction) -> None:
        self.pace.add(live.latency_s, live.dropped)
        best = self.best(live)
        if self.config.json:
            print(json.dumps(as_json(live, best, self.pace)), flush=True)
            return
        text = f"{live.time_s:8.1f} s  " + "  ".join(f"{label} {score:.0%}" for label, score in best)
        if self.live_line:
            line = f"{text}  ({self.pace.per_s:.1f} a second, {self.pace})"
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
        if not self.pace.count:
            return
        if self.live_line:
            print()
        count = f"{self.pace.count} predictions" if self.pace.count > 1 else "1 prediction"
        rate = f", {self.pace.per_s:.1f} a second" if self.pace.per_s else ""
        print(f"kinema: {count}{rate}, {self.pace}", file=sys.stderr)


def as_json(live: LivePrediction, best: list[tuple[str, float]], pace: Pace) -> dict[str, Any]:
    """One prediction as a plain dictionary, with how fast they have come so far."""
    return {
        "time_s": round(live.time_s, 3),
        "top": [{"label": label, "score": round(score, 4)} for label, score in best],
        "latency_s": round(live.latency_s, 4),
        **pace.to_json(),
    }
