"""Does live prediction keep up? A drawn video plays in real time at 30 frames a second, as a camera would.

Networks with a state see every frame (`--every 2`: every second one); the network that looks at windows sees the newest clip
whenever it is free. Latency is from the arrival of a frame to its scores; `dropped` counts frames that could not be looked at
in time. A network keeps up if no frame was dropped and its last answer came while the video was still playing.

    python benchmarks/live.py [--networks causal_small,slow_fusion_small] [--seconds 20] [--engine torch] [--json]
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kinema import models
from kinema.inference.live.clips import watch
from kinema.inference.live.latency import LatencyStats
from kinema.inference.live.types import goes_frame_by_frame
from kinema.inference.predictor import Predictor
from kinema.machine import num_cores, processor
from kinema.video.writer import VideoWriter
from kinema.weights.checkpoint import ModelCard

FPS = 30
NETWORKS = "causal_small,tsm_causal_small,conv_gru_small,cnn_gru_small,slow_fusion_small"
SIZES = ((240, 320), (720, 1280))


def draw_film(path: Path, seconds: float, size: tuple[int, int]) -> str:
    """Draw a video of a textured background that moves."""
    height, width = size
    ground = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    ground = np.concatenate([ground, ground], axis=1).repeat(8, 0).repeat(8, 1)
    with VideoWriter(path, FPS, size) as writer:
        for number in range(round(seconds * FPS)):
            left = 3 * number % width
            writer.write(np.ascontiguousarray(ground[:height, left : left + width]))
    return str(path)


def open_predictor(name: str, every: int, engine: str) -> Predictor:
    spec = {"sampling": "dense", "frame_stride": every, "fps": float(FPS)}
    network = models.build(name, num_classes=8, spec=spec)
    engine = "torch" if goes_frame_by_frame(network) else engine
    return Predictor(network.eval(), ModelCard.of(network, tuple("abcdefgh")), engine=engine, batch_size=1)  # type: ignore[arg-type]


def measure(name: str, film: str, options: argparse.Namespace) -> dict[str, object]:
    predictor = open_predictor(name, options.every, options.engine)
    stats, last_s, began = LatencyStats(), 0.0, 0.0
    for live in watch(predictor, film):
        began = began or time.monotonic() - live.time_s - live.latency_s  # when the film began to play
        stats.add(live.latency_s, live.dropped)
        last_s = live.time_s
    passed_s = time.monotonic() - began
    by_frame = goes_frame_by_frame(predictor.network)
    wanted = round(options.seconds * FPS / options.every)
    return {
        "network": name, "frame_by_frame": by_frame, "predictions": stats.count, **stats.to_json(),
        "real_time": (last_s + 1 / FPS) / passed_s,
        "keeps_up": stats.dropped == 0 and (not by_frame or stats.count >= wanted - 1),
    }  # fmt: skip


def verdict(row: dict[str, object]) -> str:
    if row["keeps_up"]:
        return "keeps up"
    return f"does {row['predictions_per_s']:.1f} predictions a second"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="length of the film, at most a thousand frames count"
    )
    parser.add_argument("--every", type=int, default=1, help="every how-many-th frame is looked at")
    parser.add_argument("--engine", default="torch", choices=["torch", "openvino", "auto"], help="of window networks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    print(f"{processor()}, {num_cores()} cores, {FPS} frames/s", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        for height, width in SIZES:
            film = draw_film(Path(folder) / f"{height}.mp4", options.seconds, (height, width))
            for name in options.networks.split(","):
                row = {"film": f"{width}x{height}", **measure(name, film, options)}
                rows.append(row)
                if not options.json:
                    tell(row)
    if options.json:
        print(json.dumps(rows))


def tell(row: dict[str, object]) -> None:
    shares = "  ".join(f"{name} {1000 * row[f'latency_{name}_s']:6.1f} ms" for name in ("p50", "p95", "p99"))  # type: ignore[operator]
    counts = f"{row['dropped']:4} dropped  {row['real_time']:.2f} of real time"
    print(f"{row['film']:9} {row['network']:20} {shares}  {counts}  {verdict(row)}", flush=True)


if __name__ == "__main__":
    main()
