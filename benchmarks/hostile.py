"""Whole and damaged videos of every container and codec that PyAV writes here: is each told for what it is?

Draws small videos, and damages copies of them with fixed seeds: cut off, bytes flipped, blocks zeroed or overwritten, the head
damaged, packets dropped, doubled or swapped. A child process reads each: all frames in order (`iterate`), and by number alone, in
random order and in strides (`frames_at`). Counted are whole videos that are called damaged; damaged ones of which FFmpeg marks a
frame as corrupt and kinema says nothing; frames whose pixels depend on how they are reached; and crashes, tracebacks and hangs.

    python benchmarks/hostile.py [--only mkv] [--mutations 16] [--jobs 2] [--json] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from kinema.errors import VideoError
from kinema.video import open_video

FRAMES, HEIGHT, WIDTH = 48, 48, 64
LIMIT_S = 60
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"g": "12", "bf": "0"}), "h264b": ("libx264", {"g": "16", "bf": "3"}),
    "h264open": ("libx264", {"g": "12", "bf": "2", "x264-params": "open-gop=1"}),
    "hevc": ("libx265", {"x265-params": "log-level=none"}),
    "mpeg4": ("mpeg4", {"g": "12"}), "mpeg4b": ("mpeg4", {"g": "12", "bf": "2"}), "mpeg2": ("mpeg2video", {"g": "12", "bf": "2"}),
    "mpeg1": ("mpeg1video", {"g": "12"}), "mjpeg": ("mjpeg", {}),
    "vp8": ("libvpx", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "8"}),
    "vp9": ("libvpx-vp9", {"g": "12", "deadline": "realtime"}), "av1": ("libsvtav1", {"preset": "12"}),
    "ffv1": ("ffv1", {"level": "3", "slicecrc": "1"}),
    "prores": ("prores_ks", {}), "dnxhd": ("dnxhd", {"profile": "dnxhr_sq"}),
    "flv1": ("flv1", {"g": "12"}), "wmv2": ("wmv2", {"g": "12"}),
    "theora": ("libtheora", {"g": "12"}), "huffyuv": ("huffyuv", {}), "png": ("png", {}), "h263p": ("h263p", {"g": "12"}),
}  # fmt: skip
FORMATS: dict[str, tuple[str, ...]] = {
    "mp4": ("h264", "h264b", "h264open", "hevc", "mpeg4", "mpeg4b", "vp9", "av1", "mjpeg"),
    "mov": ("h264b", "prores", "dnxhd", "mjpeg", "png"),
    "mkv": (
        "h264",
        "h264b",
        "h264open",
        "hevc",
        "mpeg4b",
        "mpeg2",
        "vp8",
        "vp9",
        "av1",
        "ffv1",
        "mjpeg",
        "huffyuv",
        "theora",
    ),
    "webm": ("vp8", "vp9", "av1"),
    "avi": ("h264", "mpeg4", "mpeg4b", "mjpeg", "ffv1", "huffyuv", "mpeg2", "wmv2"),
    "ts": ("h264", "h264b", "hevc", "mpeg2"),
    "flv": ("h264", "h264b", "flv1"),
    "wmv": ("wmv2",),
    "mpg": ("mpeg1", "mpeg2"),
    "nut": ("h264", "mpeg4", "ffv1"),
    "ogv": ("theora", "vp8"),
    "3gp": ("h264", "mpeg4", "h263p"),
}
KINDS = ("plain", "sound")
PIX_FMTS = {"prores": "yuv422p10le", "dnxhd": "yuv422p", "mjpeg": "yuvj420p", "png": "rgb24"}


@dataclass(frozen=True)
class Outcome:
    """What reading a file showed."""

    name: str
    whole: bool
    told: bool
    marked: bool
    unlike: int
    error: str


def picture(index: int) -> np.ndarray:
    """A frame with a moving square on a textured background."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    frame = np.stack([40 + 2 * rows, 60 + columns + index, 128 + 30 * np.sin(columns / 5 + index / 7)], axis=2)
    frame[8 + index % 24 : 20 + index % 24, index : index + 12] = (230, 220, 40)
    return frame.astype(np.uint8)


def draw(path: Path, codec: str, kind: str) -> bool:
    """Write a whole video; false if the container or codec is missing here."""
    name, options = CODECS[codec]
    try:
        with av.open(str(path), "w") as output:
            track = output.add_stream(name, rate=25, options=dict(options))
            scale = 4 if codec in ("dnxhd",) else 1
            width, height = (176, 144) if codec == "h263p" else (WIDTH * scale, HEIGHT * scale)
            track.width, track.height, track.pix_fmt = width, height, PIX_FMTS.get(codec, "yuv420p")
            encoder = {".webm": "libopus", ".ogv": "libopus", ".mpg": "mp2"}.get(path.suffix, "aac")
            sound = output.add_stream(encoder, rate=48000) if kind == "sound" else None
            for index in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(width, height)
                frame.pts, frame.time_base = index, Fraction(1, 25)
                output.mux(track.encode(frame))
                if sound is not None:
                    part = av.AudioFrame.from_ndarray(np.zeros((1, 3840), np.int16), format="s16", layout="stereo")
                    part.rate, part.pts, part.time_base = 48000, 1920 * index, Fraction(1, 48000)
                    output.mux(sound.encode(part))
            output.mux(track.encode(None))
            if sound is not None:
                output.mux(sound.encode(None))
    except (av.FFmpegError, ValueError, TypeError, OSError):
        path.unlink(missing_ok=True)
        return False
    return True


def cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(len(data) * rng.choice([0.1, 0.5, 0.9, 0.99]))]


def flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for place in rng.integers(len(data) // 10, len(data), int(rng.choice([1, 8, 40]))):
        data[place] ^= 1 << int(rng.integers(8))
    return data


def overwrite(data: bytearray, rng: np.random.Generator) -> bytearray:
    length = int(rng.choice([64, 512, 2048]))
    start = int(rng.integers(len(data) // 10, max(len(data) - length, len(data) // 10 + 1)))
    block = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    data[start : start + length] = block[: len(data) - start]
    return data


def remove(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, length = int(rng.integers(len(data) // 10, len(data))), int(rng.choice([16, 256, 1500]))
    return data[:start] + data[start + length :]


def head(data: bytearray, rng: np.random.Generator) -> bytearray:
    for place in rng.integers(0, min(len(data), 600), int(rng.choice([1, 4]))):
        data[place] = int(rng.integers(256))
    return data


BYTES: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (cut, flip, overwrite, remove, head)


def remux(source: Path, target: Path, rng: np.random.Generator) -> bool:
    """Drop, double or swap packets of the video track, or damage its timestamps."""
    way = str(rng.choice(["drop", "double", "swap", "times"]))
    try:
        with av.open(str(source)) as container, av.open(str(target), "w") as output:
            track = container.streams.video[0]
            copy = output.add_stream_from_template(track)
            packets = [packet for packet in container.demux(track) if packet.size]
            place = int(rng.integers(1, len(packets) - 2))
            if way == "drop":
                del packets[place]
            elif way == "swap":
                packets[place], packets[place + 1] = packets[place + 1], packets[place]
            for number, packet in enumerate(packets):
                packet.stream = copy
                if way == "times" and number == place and packet.pts is not None:
                    packet.pts += int(rng.choice([1, 10_000_000]))
                output.mux(packet)
                if way == "double" and number == place:
                    output.mux(packet)
    except (av.FFmpegError, ValueError, IndexError, OSError):
        target.unlink(missing_ok=True)
        return False
    return True


def corpus(folder: Path, num_mutations: int, only: str = "") -> Iterator[tuple[Path, bool]]:
    """Draw the videos: path, and whether it is whole."""
    for ending, codecs in FORMATS.items():
        for codec in codecs:
            for kind in KINDS:
                path = folder / f"{codec}-{kind}.{ending}"
                if only not in path.name or not draw(path, codec, kind):
                    continue
                yield path, True
                for number in range(num_mutations):
                    rng = np.random.default_rng([number, *path.name.encode()])
                    target = folder / f"{codec}-{kind}-{number:02}.{ending}"
                    if number % 3 == 2:
                        if remux(path, target, rng):
                            yield target, False
                        continue
                    target.write_bytes(BYTES[number % len(BYTES)](bytearray(path.read_bytes()), rng))
                    yield target, False


def marked_by_ffmpeg(path: Path) -> bool:
    """Whether FFmpeg's decoder marks a frame as corrupt, or refuses a packet, when it reads the file from the start."""
    try:
        with av.open(f"file:{path}") as container:
            track = container.streams.video[0]
            track.thread_type = "NONE"
            for packet in container.demux(track):
                if any(frame.is_corrupt for frame in packet.decode()):
                    return True
    except (av.FFmpegError, IndexError, ValueError):
        return True
    return False


def read(path: Path, whole: bool) -> Outcome:
    """Read a file in every way."""
    logging.getLogger("kinema").addHandler(told := Told())
    logging.getLogger("kinema").propagate = False
    try:
        with open_video(path) as video:
            frames = {index: digest(frame) for index, _, frame in video.iterate()}
            damaged = video.num_damaged > 0 or bool(told.lines)
        unlike = 0
        numbers = list(frames)
        orders = [numbers[::7], list(np.random.default_rng(0).permutation(numbers)), numbers[::-5]]
        for order in orders:
            with open_video(path) as video:
                for index in order:
                    try:
                        unlike += digest(video.frames_at([int(index)])[0]) != frames[int(index)]
                    except VideoError:
                        unlike += 1
        return Outcome(path.name, whole, damaged, marked_by_ffmpeg(path), unlike, "")
    except VideoError:
        return Outcome(path.name, whole, told=True, marked=True, unlike=0, error="")
    except Exception as error:
        return Outcome(path.name, whole, told=False, marked=False, unlike=0, error=f"{type(error).__name__}: {error}")


def read_apart(path: Path, whole: bool) -> Outcome:
    """Read a file in a process of its own, which is ended after `LIMIT_S`."""
    command = [sys.executable, __file__, "--read", str(path), *(["--whole"] if whole else [])]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return Outcome(path.name, whole, False, False, 0, f"hangs for more than {LIMIT_S} s")
    if done.returncode:
        return Outcome(path.name, whole, False, False, 0, f"status {done.returncode}: {done.stderr[-200:]}")
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


class Told(logging.Handler):
    """Keeps log messages."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def digest(frame: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(frame)).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of the file name, such as mkv or h264b")
    parser.add_argument("--mutations", type=int, default=16, help="damaged copies of each video")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the videos")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--read", type=Path, help="read one file and print what it showed")
    parser.add_argument("--whole", action="store_true", help="with --read: the file is whole")
    options = parser.parse_args()
    if options.read:
        print(json.dumps(asdict(read(options.read, options.whole))))
        return
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as home:
        folder = options.keep or Path(home)
        folder.mkdir(parents=True, exist_ok=True)
        files = list(corpus(folder, options.mutations, options.only))
        with ThreadPoolExecutor(options.jobs) as pool:
            outcomes = list(pool.map(lambda file: read_apart(*file), files))
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
        return
    wrong = {
        "whole, called damaged": [o.name for o in outcomes if o.whole and o.told],
        "marked by FFmpeg, without a word": [o.name for o in outcomes if not o.whole and o.marked and not o.told and not o.error],
        "pixels depend on the way": [f"{o.name} ({o.unlike})" for o in outcomes if o.unlike],
        "crash, traceback or hang": [f"{o.name}: {o.error}" for o in outcomes if o.error],
    }  # fmt: skip
    counts = Counter(outcome.whole for outcome in outcomes)
    print(
        f"{counts[True]} whole videos, {counts[False]} damaged ones, {sum(o.told for o in outcomes)} of which are told"
    )
    for what, names in wrong.items():
        print(f"{what:34} {len(names):4}  {', '.join(names[:12])}{' …' if len(names) > 12 else ''}")


if __name__ == "__main__":
    main()
