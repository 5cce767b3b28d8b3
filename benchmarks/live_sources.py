"""Does `kinema watch` stay with its source? Cameras with wrong clocks, a backlog, a drop, and a network that is too slow.

Each source is served on this machine and draws the time into its frames, so that the lag is measured and not believed: from
the moment that the newest frame of a clip shows to the network's answer. `latency` is what kinema says: from the arrival of
that frame.

    python benchmarks/live_sources.py [--seconds 60] [--only mjpeg,pipe] [--json]
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import contextlib
import dataclasses
import http.server
import io
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np
import torch
from PIL import Image

from kinema import models
from kinema.inference.live.clips import watch
from kinema.inference.live.frames import StreamingScorer
from kinema.inference.live.types import goes_frame_by_frame
from kinema.inference.predictor import Predictor
from kinema.machine import num_cores, processor
from kinema.video.stream import Stream
from kinema.weights.checkpoint import ModelCard

PERIOD_S, STEP_S = (
    64.0,
    4.0,
)  # the left half of a frame shows the step of the period, the right half the time in the step


@dataclasses.dataclass(frozen=True)
class Camera:
    """What is served.

    Attributes:
        fps: frames a second of arrival.
        kind: mjpeg (HTTP), mpegts (HTTP) or h264 (a pipe).
        clock: seconds of timestamps in a second.
        backlog_s: length of what is sent at once at the beginning.
        drops_after_s: the connection ends so often; 0 is never.
        slow_s: what a clip costs in addition.
        network: what watches.
    """

    fps: float
    kind: str
    clock: float = 1.0
    backlog_s: float = 0.0
    drops_after_s: float = 0.0
    slow_s: float = 0.0
    network: str = "slow_fusion_tiny"


CAMERAS = {
    "mjpeg": Camera(40, "mjpeg"),
    "mjpeg, frame by frame": Camera(40, "mjpeg", network="causal_small"),
    "mpegts, backlog of 6 s": Camera(25, "mpegts", backlog_s=6),
    "mpegts, clock 1 % fast": Camera(25, "mpegts", clock=1.01),
    "mpegts, clock at half speed": Camera(25, "mpegts", clock=0.5),
    "pipe, H.264 at 50 fps": Camera(50, "h264"),
    "slow network, 0.3 s a clip": Camera(25, "mpegts", slow_s=0.3),
    "mjpeg, drops every 15 s": Camera(40, "mjpeg", drops_after_s=15),
}


def draw(now_s: float) -> np.ndarray:
    """A frame that shows a time."""
    step, rest = divmod(now_s % PERIOD_S, STEP_S)
    frame = np.empty((64, 96, 3), np.uint8)
    frame[:, :48], frame[:, 48:] = 24 + 13 * int(step), 24 + round(200 * rest / STEP_S)
    return frame


def lag_of(frame: np.ndarray | torch.Tensor, now_s: float) -> float:
    """Seconds since the time that a frame [h w c] shows; between -2 and 62."""
    width = frame.shape[1]
    level = [float(np.asarray(half).mean()) for half in (frame[:, 2 : width // 2 - 2], frame[:, width // 2 + 2 : -2])]
    shown_s = STEP_S * round((level[0] - 24) / 13) + STEP_S * (level[1] - 24) / 200
    return (now_s - shown_s + 2) % PERIOD_S - 2


def moments(camera: Camera, stop: threading.Event) -> Iterator[tuple[int, float]]:
    """Number of each frame and the time that it shows, when it is due."""
    began_s, number = time.time(), 0
    while not stop.is_set() and not (camera.drops_after_s and time.time() - began_s > camera.drops_after_s):
        shown_s = began_s - camera.backlog_s + number / camera.fps
        if stop.wait(max(0.0, shown_s - time.time())):
            return
        yield number, shown_s
        number += 1


def send_jpegs(camera: Camera, target: BinaryIO, stop: threading.Event) -> None:
    for _, shown_s in moments(camera, stop):
        file = io.BytesIO()
        Image.fromarray(draw(shown_s)).save(file, "JPEG", quality=95)
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {file.tell()}\r\n\r\n"
        target.write(head.encode() + file.getvalue() + b"\r\n")
        target.flush()


def send_encoded(camera: Camera, target: BinaryIO, stop: threading.Event) -> None:
    with av.open(target, "w", format=camera.kind, options={"flush_packets": "1"}) as container:
        track = container.add_stream("libx264", rate=round(camera.fps), options={"tune": "zerolatency", "g": "25"})
        track.width, track.height, track.pix_fmt = 96, 64, "yuv420p"
        track.codec_context.time_base = Fraction(1, 90000)
        for number, shown_s in moments(camera, stop):
            frame = av.VideoFrame.from_ndarray(draw(shown_s), format="rgb24")
            frame.pts, frame.time_base = round(90000 * camera.clock * number / camera.fps), Fraction(1, 90000)
            container.mux(track.encode(frame))


@contextlib.contextmanager
def served(camera: Camera) -> Iterator[str]:
    """Serve a camera; gives what `kinema watch` is given."""
    stop = threading.Event()
    send = send_jpegs if camera.kind == "mjpeg" else send_encoded
    kind = "multipart/x-mixed-replace; boundary=frame" if camera.kind == "mjpeg" else "video/mp2t"

    class Answer(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            with contextlib.suppress(OSError, av.FFmpegError):
                send(camera, self.wfile, stop)  # type: ignore[arg-type]

    if camera.kind == "h264":
        with piped(lambda target: send(camera, target, stop), stop):
            yield "-"
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def piped(send: Callable[[BinaryIO], None], stop: threading.Event) -> Iterator[None]:
    """Replace standard input by a pipe that a thread fills."""
    source, target = os.pipe()

    def fill() -> None:
        with contextlib.suppress(OSError, av.FFmpegError), os.fdopen(target, "wb", buffering=0) as file:
            send(file)

    before = sys.stdin
    sys.stdin = os.fdopen(source, "r")
    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)
        sys.stdin.close()
        sys.stdin = before


def open_predictor(camera: Camera, lags: list[tuple[float, float]]) -> Predictor:
    """A network that notes the lag of the newest frame at each answer."""
    spec = {"sampling": "dense", "fps": 25.0, "size": (48, 72)}
    network = models.build(camera.network, num_classes=2, spec=spec)
    predictor = Predictor(network.eval(), ModelCard.of(network, ("a", "b")), device="cpu", engine="torch", batch_size=1)
    if goes_frame_by_frame(network):
        step = StreamingScorer.__call__

        def fed(self: StreamingScorer, frame: np.ndarray, repeats: int = 1) -> np.ndarray:
            scores = step(self, frame, repeats)
            lags.append((time.time(), lag_of(frame, time.time())))
            return scores

        StreamingScorer.__call__ = fed  # type: ignore[method-assign]
        return predictor
    score = predictor.score_clips

    def scored(clips: torch.Tensor) -> np.ndarray:
        scores = score(clips)
        time.sleep(camera.slow_s)
        lags.append((time.time(), lag_of(clips[0, :, -1].permute(1, 2, 0), time.time())))
        return scores

    predictor.score_clips = scored  # type: ignore[method-assign]
    return predictor


def measure(name: str, camera: Camera, seconds: float) -> dict[str, object]:
    """Watch a camera and return a row of the table."""
    lags: list[tuple[float, float]] = []
    predictor, streams, latencies_s, dropped = open_predictor(camera, lags), list[Stream](), list[float](), 0
    with served(camera) as source:
        for live in watch(predictor, source, reconnect=10, on_open=streams.append):
            latencies_s.append(live.latency_s)
            dropped = live.dropped
            if live.time_s >= seconds:
                break
    lags = lags[1:]  # the first is the warm-up
    starting = [lag for when, lag in lags if when < lags[0][0] + 1]
    ending = [lag for when, lag in lags if when > lags[-1][0] - 1]
    return {
        "source": name,
        "lag_first_s": round(lags[0][1], 3),
        "lag_start_s": round(float(np.median(starting)), 3),
        "lag_end_s": round(float(np.median(ending)), 3),
        "lag_end_max_s": round(max(ending), 3),
        "latency_p50_s": round(float(np.median(latencies_s)), 3),
        "received": streams[0].num_received,
        "dropped": dropped,
        "reconnections": streams[0].num_reconnections,
        "predictions": len(latencies_s),
        "last_time_s": round(live.time_s, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each source is watched")
    parser.add_argument("--only", default="", help="sources whose name begins with one of these")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(1)
    print(f"{processor()}, {num_cores()} cores, {options.seconds:g} s a source", file=sys.stderr)
    if not options.json:
        print(
            "| source | lag: first second | last second (worst) | latency | received | dropped | reconnections | predictions |"
        )
        print("|---|---|---|---|---|---|---|---|")
    for name, camera in CAMERAS.items():
        if not name.startswith(tuple(options.only.split(","))):
            continue
        row = measure(name, camera, options.seconds)
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        lag = f"{row['lag_start_s']:.2f} s | {row['lag_end_s']:.2f} s ({row['lag_end_max_s']:.2f} s)"
        counts = " | ".join(str(row[key]) for key in ("received", "dropped", "reconnections", "predictions"))
        print(f"| {name} | {lag} | {row['latency_p50_s']:.3f} s | {counts} |", flush=True)


if __name__ == "__main__":
    main()
