"""How fast clips and whole videos are decoded: kinema against decord, OpenCV and a plain PyAV loop.

All sides run in one process in alternating order on the same files; medians of several repeats of wall-clock and processor
time. Every side opens the file anew and chooses its own number of threads. Each side resizes frames in its own way: PyAV's
`to_ndarray` and decord's `width` and `height` with their defaults, OpenCV with INTER_AREA, because INTER_LINEAR skips pixels
where kinema averages them. PyAV converts with one thread: its default, one thread a core for every single frame, was several
times slower. Two videos are drawn: 320x240 and 1280x720, H.264 with x264's defaults (B-frames, a keyframe every 250 frames),
textured and moving. With KINEMA_DATA set, real ones follow.

    python benchmarks/decode.py --repeats 7 --json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from kinema.video import open_video
from kinema.video.contract import target_size

Indices = list[int]
Reader = Callable[[str, Indices, int | None], np.ndarray]


def draw_film(path: Path, height: int, width: int, num_frames: int, codec: str = "libx264") -> Path:
    """A camera that wanders over a textured ground with moving things on it, and some noise."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (height // 8 + 40, width // 8 + 40, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    ground = (
        ground.astype(np.float32) + np.roll(ground, 3, 0) + np.roll(ground, 4, 1) + np.roll(ground, (5, 5), (0, 1))
    ) / 4
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(num_frames):
            top, left = int(80 + 75 * np.sin(number / 31)), int(80 + 75 * np.cos(number / 47))
            frame = ground[top : top + height, left : left + width].copy()
            for thing in range(4):
                y = int((height - height // 4) * (0.5 + 0.5 * np.sin(number / 11 + thing)))
                x = int((width - width // 4) * (0.5 + 0.5 * np.cos(number / 17 + 2 * thing)))
                frame[y : y + height // 5, x : x + width // 6] = 255 - frame[y : y + height // 5, x : x + width // 6]
            frame += rng.normal(0, 3, (height, width, 1))
            picture = av.VideoFrame.from_ndarray(np.clip(frame, 0, 255).astype(np.uint8), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def clip_indices(num_frames: int, num_clips: int = 10, clip_len: int = 16, stride: int = 2) -> Indices:
    starts = np.linspace(0, max(num_frames - (clip_len - 1) * stride - 1, 0), num_clips).astype(int)
    return [min(int(s) + k * stride, num_frames - 1) for s in starts for k in range(clip_len)]


def read_kinema(path: str, indices: Indices, short_side: int | None) -> np.ndarray:
    with open_video(path) as video:
        return video.frames_at(indices, short_side)


def read_torchcodec(path: str, indices: Indices, short_side: int | None) -> np.ndarray:
    with open_video(path, backend="torchcodec") as video:
        return video.frames_at(indices, short_side)


def read_decord(path: str, indices: Indices, short_side: int | None) -> np.ndarray:
    import decord

    height, width = size_of(path, short_side)
    return decord.VideoReader(path, width=width, height=height).get_batch(indices).asnumpy()


def read_opencv(path: str, indices: Indices, short_side: int | None) -> np.ndarray:
    import cv2

    height, width = size_of(path, short_side)
    wanted = set(indices)
    film = cv2.VideoCapture(path)
    frames: dict[int, np.ndarray] = {}
    for number in range(max(wanted) + 1):
        film.grab()
        if number in wanted:
            frame = film.retrieve()[1]
            if short_side is not None:
                frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            frames[number] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    film.release()
    return np.stack([frames[number] for number in indices])


def read_pyav(path: str, indices: Indices, short_side: int | None) -> np.ndarray:
    wanted, frames = set(indices), {}
    with av.open(path) as film:
        film.streams.video[0].thread_type = "AUTO"
        for number, picture in enumerate(film.decode(video=0)):
            if number in wanted:
                height, width = target_size(picture.height, picture.width, short_side)
                frames[number] = picture.to_ndarray(format="rgb24", width=width, height=height, threads=1)
            if len(frames) == len(wanted):
                break
    return np.stack([frames[number] for number in indices])


_SIZES: dict[str, tuple[int, int]] = {}


def size_of(path: str, short_side: int | None) -> tuple[int, int]:
    """Height and width to ask for; not part of what is timed after the first time."""
    if path not in _SIZES:
        with open_video(path) as video:
            _SIZES[path] = (video.info.height, video.info.width)
    return target_size(*_SIZES[path], short_side)


def readers(names: list[str]) -> dict[str, Reader]:
    known: dict[str, Reader] = {
        "kinema": read_kinema,
        "decord": read_decord,
        "opencv": read_opencv,
        "pyav": read_pyav,
        "torchcodec": read_torchcodec,
    }
    return {name: known[name] for name in names}


def measure(path: Path, sides: dict[str, Reader], indices: Indices, short_side: int | None, repeats: int) -> dict:
    wall: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    shapes: dict[str, tuple[int, ...]] = {}
    for repeat in range(repeats + 1):  # the first is to warm up
        names = list(sides)[repeat % len(sides) :] + list(sides)[: repeat % len(sides)]
        for name in names:
            touch_memory(shapes.get(name, ()))
            start, start_cpu = time.perf_counter(), time.process_time()
            shapes[name] = sides[name](str(path), indices, short_side).shape
            if repeat:
                wall[name].append(1000 * (time.perf_counter() - start))
                cpu[name].append(1000 * (time.process_time() - start_cpu))
    assert len(set(shapes.values())) == 1, shapes
    return _compared("wall", wall) | _compared("cpu", cpu)


def touch_memory(shape: tuple[int, ...]) -> None:
    """Ask the machine for the memory that comes next: a virtual one lends it slowly, to whoever happens to be first."""
    np.empty(3 * math.prod(shape), np.uint8)[::4096] = 0


def _compared(clock: str, times: dict[str, list[float]]) -> dict:
    medians = {name: round(statistics.median(values), 2) for name, values in times.items()}
    others = {name: value for name, value in medians.items() if name != "kinema"} or medians
    best = min(others, key=others.__getitem__)
    ratio = round(medians.get("kinema", others[best]) / others[best], 3)
    return {f"{clock}_ms": medians, f"{clock}_best_other": best, f"{clock}_ratio": ratio}


def films(folder: Path, given: list[str]) -> list[Path]:
    if given:
        return [Path(path) for path in given]
    drawn = [
        draw_film(folder / "drawn_320x240.mp4", 240, 320, 500),
        draw_film(folder / "drawn_1280x720.mp4", 720, 1280, 250),
    ]
    data = os.environ.get("KINEMA_DATA")
    if not data:
        return drawn
    found = [
        sorted(Path(data).glob(p))[:1] for p in ("wagon/*/*.mp4", "films/sports/baseball.mp4", "films/ucf101/*/*.avi")
    ]
    return [*drawn, *(path for paths in found for path in paths)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sides", default="kinema,decord,opencv,pyav")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    sides = readers(given.sides.split(","))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for path in films(Path(folder), given.files):
            with open_video(path) as video:
                num_frames = len(video)
            tasks = {
                "10 clips of 16, stride 2": clip_indices(num_frames),
                "10 clips of 16, stride 4": clip_indices(num_frames, stride=4),
                "1 clip of 16 in the middle": clip_indices(num_frames, 3)[16:32],
                "all frames": list(range(num_frames)),
            }
            for task, indices in tasks.items():
                for short_side in (None, 112):
                    row = {"file": path.name, "frames": num_frames, "task": task, "short_side": short_side}
                    row |= measure(path, sides, indices, short_side, given.repeats)
                    rows.append(row)
                    print(_line(row), file=sys.stderr)
    if given.json:
        print(json.dumps({"cores": os.cpu_count(), "repeats": given.repeats, "rows": rows}, indent=2))


def _line(row: dict) -> str:
    side = "full" if row["short_side"] is None else row["short_side"]
    times = "  ".join(f"{name} {wall:.1f}/{row['cpu_ms'][name]:.1f}" for name, wall in row["wall_ms"].items())
    ratios = "  ".join(f"{row[f'{clock}_ratio']:.2f} x {row[f'{clock}_best_other']}" for clock in ("wall", "cpu"))
    return f"{row['file']:24.24} {row['task']:26} {side!s:5} {times}  -> wall {ratios} cpu"


if __name__ == "__main__":
    main()
