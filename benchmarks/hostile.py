"""Whole and damaged videos of every container and codec that PyAV writes here: is each told for what it is?

Draws small videos: plain ones, with sound, with a variable frame rate, a start after 0, odd sides, rotated. Damages copies of
them with fixed seeds: cut off, bytes flipped, blocks zeroed or overwritten, the head damaged, packets dropped, doubled or
swapped, timestamps wrong. A child process reads each in every way: `iterate` with strides and from the middle; `frames_at` with
single frames in random order, by newly opened videos, and many at once. Counted are whole videos called damaged or with lost
frames; damaged ones of which FFmpeg marks a frame as corrupt and kinema says nothing; videos of which a frame depends on how it
is reached; plans of windows that no video of so many frames can need; and crashes, tracebacks and hangs.

    python benchmarks/hostile.py [--only mkv] [--mutations 16] [--part 1/4] [--jobs 2] [--json] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from kinema.clips.windows import plan_windows
from kinema.errors import VideoError
from kinema.types import InputSpec
from kinema.video import open_video
from kinema.video.truncation import cut_off

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
# Kind: share of the damaged copies that it gets. The first two are the corpus of before.
KINDS = {"plain": 1.0, "sound": 1.0, "vfr": 0.25, "late": 0.25, "odd": 0.25, "rotated": 0.25}
VFR = (1, 1, 2, 1, 3, 1, 1, 5)
PIX_FMTS = {"prores": "yuv422p10le", "dnxhd": "yuv422p", "mjpeg": "yuvj420p", "png": "rgb24", "huffyuv": "yuv422p"}


@dataclass(frozen=True)
class Outcome:
    """What reading a file showed."""

    name: str
    whole: bool
    told: bool = False
    marked: bool = False
    lost: int = 0
    unlike: tuple[str, ...] = ()
    windows: int = 0
    error: str = ""


def picture(index: int) -> np.ndarray:
    """A frame with a moving square on a textured background."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    frame = np.stack([40 + 2 * rows, 60 + columns + index, 128 + 30 * np.sin(columns / 5 + index / 7)], axis=2)
    frame[8 + index % 24 : 20 + index % 24, index : index + 12] = (230, 220, 40)
    return frame.astype(np.uint8)


def draw(path: Path, codec: str, kind: str) -> str:
    """Write a whole video; why not, if the container or codec cannot take it."""
    name, options = CODECS[codec]
    try:
        with av.open(str(path), "w") as output:
            track = output.add_stream(name, rate=25, options=dict(options))
            width, height = {"h263p": (176, 144), "dnxhd": (4 * WIDTH, 4 * HEIGHT)}.get(codec, (WIDTH, HEIGHT))
            if kind == "odd":
                width, height = width + 3, height + 1
            track.width, track.height, track.pix_fmt = width, height, PIX_FMTS.get(codec, "yuv420p")
            if kind == "odd" and codec.startswith(("h264", "hevc")):
                track.pix_fmt = "yuv444p"
            track.time_base = track.codec_context.time_base = Fraction(1, 25)
            if kind == "rotated":
                track.set_display_rotation(90)
            encoder = {".webm": "libopus", ".ogv": "libopus", ".mpg": "mp2"}.get(path.suffix, "aac")
            sound = output.add_stream(encoder, rate=48000) if kind == "sound" else None
            pts = 75 if kind == "late" else 0
            for index in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(width, height)
                frame.pts, frame.time_base = pts, Fraction(1, 25)
                pts += VFR[index % len(VFR)] if kind == "vfr" else 1
                output.mux(track.encode(frame))
                if sound is not None:
                    part = av.AudioFrame.from_ndarray(np.zeros((1, 3840), np.int16), format="s16", layout="stereo")
                    part.rate, part.pts, part.time_base = 48000, 1920 * index, Fraction(1, 48000)
                    output.mux(sound.encode(part))
            for stream in (track, *([sound] if sound is not None else [])):
                output.mux(stream.encode(None))
    except (av.FFmpegError, ValueError, TypeError, OSError) as error:
        path.unlink(missing_ok=True)
        return str(error).splitlines()[0]
    return ""


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
    way = str(rng.choice(["drop", "double", "swap", "times", "times"]))
    wrong = int(rng.choice([1, 40, 10_000_000, -10_000_000, 1 << 40]))
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
                    packet.pts += wrong
                    packet.dts = packet.pts if rng.random() < 0.5 else packet.dts
                output.mux(packet)
                if way == "double" and number == place:
                    output.mux(packet)
    except (av.FFmpegError, ValueError, IndexError, OSError, OverflowError):
        target.unlink(missing_ok=True)
        return False
    return True


def corpus(folder: Path, num_mutations: int, only: str = "", part: str = "1/1") -> Iterator[tuple[Path, bool]]:
    """Draw the videos: path, and whether it is whole."""
    missing: Counter[str] = Counter()
    names = [
        (f"{codec}-{kind}.{ending}", codec, kind) for ending in FORMATS for codec in FORMATS[ending] for kind in KINDS
    ]
    first, step = map(int, part.split("/"))
    for name, codec, kind in [entry for entry in names if only in entry[0]][first - 1 :: step]:
        path = folder / name
        reason = draw(path, codec, kind)
        if reason:
            missing[f"{codec}.{path.suffix[1:]}" if kind == "plain" else f"{kind}: {codec}.{path.suffix[1:]}"] += 1
            continue
        yield path, True
        for number in range(round(num_mutations * KINDS[kind])):
            rng = np.random.default_rng([number, *path.name.encode()])
            target = path.with_stem(f"{path.stem}-{number:02}")
            if number % 3 == 2:
                if remux(path, target, rng):
                    yield target, False
                continue
            target.write_bytes(BYTES[number % len(BYTES)](bytearray(path.read_bytes()), rng))
            yield target, False
    print(f"not written by PyAV here: {', '.join(sorted(missing)) or 'none'}", file=sys.stderr)


def marked_by_ffmpeg(path: Path) -> bool:
    """Whether FFmpeg's decoder marks a frame as corrupt, or refuses a packet, when it reads the file from the start."""
    try:
        with av.open(f"file:{path}", metadata_errors="ignore") as container:
            track = container.streams.video[0]
            track.thread_type = "NONE"
            for packet in container.demux(track):
                if any(frame.is_corrupt for frame in packet.decode()):
                    return True
    except (av.FFmpegError, IndexError, ValueError):
        return True
    return False


def ways(path: Path, num_frames: int) -> Iterator[tuple[str, dict[int, str]]]:
    """Read frames in different ways: name of the way, and what each frame looks like; empty for one that cannot be decoded."""
    for stride in (2, 3, 7):
        with open_video(path) as video:
            seen = {index: digest(frame) for index, _, frame in video.iterate(stride=stride)}
        yield f"iterate(stride={stride})", {index: seen.get(index, "") for index in range(0, num_frames, stride)}
    with open_video(path) as video:
        middle = num_frames // 2
        seen = {index: digest(frame) for index, _, frame in video.iterate(start_s=float(video.times_s[middle]))}
    yield "iterate(start_s)", {index: seen.get(index, "") for index in range(middle, num_frames)}
    order = np.random.default_rng(0).permutation(num_frames).tolist()
    for name, numbers in {"frames_at, shuffled": order, "frames_at, backwards": range(num_frames)[::-1]}.items():
        with open_video(path) as video:
            yield name, {index: alone(video, index) for index in numbers}
    for index in order[:8]:
        with open_video(path) as video:
            yield "frames_at, opened anew", {index: alone(video, index)}


def alone(video: object, index: int) -> str:
    try:
        return digest(video.frames_at([index])[0])  # type: ignore[attr-defined]
    except VideoError:
        return ""


def together(path: Path, frames: dict[int, str]) -> bool:
    """Whether spread frames, read by one call, are those of `frames`."""
    numbers = list(frames)[:: max(len(frames) // 16, 1)]
    with open_video(path) as video:
        return [digest(frame) for frame in video.frames_at(numbers)] == [frames[index] for index in numbers]


def read(path: Path, whole: bool) -> Outcome:
    """Read a file in every way."""
    logger = logging.getLogger("kinema")
    logger.addHandler(told := Told())
    logger.propagate = False
    try:
        with open_video(path) as video:
            num_frames = len(video)
            frames = {index: digest(frame) for index, _, frame in video.iterate()}
            damaged = video.num_damaged > 0 or bool(told.lines) or bool(cut_off(video.info, video.promised_s))
            windows = len(plan_windows(InputSpec(8, 4, fps=30.0), video.times_s, video.info.duration_s).spans_s)
        unlike = [
            f"{name} {index}"
            for name, seen in ways(path, num_frames)
            for index in seen
            if seen[index] != frames.get(index, "")
        ]
        try:
            unlike += [] if together(path, frames) else ["frames_at, together"]
        except VideoError:
            unlike.append("frames_at, together")
        lost = FRAMES - len(frames) if whole else 0
        return Outcome(path.name, whole, damaged, marked_by_ffmpeg(path), lost, tuple(unlike), windows)
    except VideoError:
        return Outcome(path.name, whole, told=True, marked=True)
    except Exception as error:
        return Outcome(path.name, whole, error=f"{type(error).__name__}: {error}")


def read_apart(files: list[tuple[Path, bool]], folder: Path, jobs: int) -> list[Outcome]:
    """Read each file in a process of its own, which is ended after `LIMIT_S`."""
    outcomes, running, waiting = [], dict[int, tuple[Path, bool, float]](), files[::-1]
    while waiting or running:
        while waiting and len(running) < jobs:
            path, whole = waiting.pop()
            child = os.fork()
            if not child:
                (folder / f"{path.name}.json").write_text(json.dumps(asdict(read(path, whole))))
                os._exit(0)
            running[child] = path, whole, time.monotonic()
        time.sleep(0.005)
        for child, (path, whole, started) in list(running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended and time.monotonic() - started > LIMIT_S:
                os.kill(child, signal.SIGKILL)
                ended, status = os.waitpid(child, 0)
                status = -1
            if ended:
                del running[child]
                result = folder / f"{path.name}.json"
                error = f"hangs for more than {LIMIT_S} s" if status < 0 else f"status {status}"
                outcomes.append(
                    Outcome(**json.loads(result.read_text())) if not status else Outcome(path.name, whole, error=error)
                )
    return outcomes


def faults(outcomes: list[Outcome]) -> dict[str, list[str]]:
    """What should not be: names of the videos."""
    too_many = 2 * 3600 + 100  # windows of half a second for an hour: a few frames may last as long
    return {
        "whole, called damaged": [o.name for o in outcomes if o.whole and (o.told or o.lost)],
        "marked by FFmpeg, without a word": [o.name for o in outcomes if o.marked and not o.told and not o.error],
        "frames depend on the way": [f"{o.name} ({o.unlike[0]}, {len(o.unlike)})" for o in outcomes if o.unlike],
        "too many windows": [f"{o.name} ({o.windows})" for o in outcomes if o.windows > too_many],
        "crash, traceback or hang": [f"{o.name}: {o.error}" for o in outcomes if o.error],
    }


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
    parser.add_argument("--mutations", type=int, default=16, help="damaged copies of each plain video")
    parser.add_argument("--part", default="1/1", help="2/4: every fourth video from the second on, with its copies")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the videos")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as home:
        folder = options.keep or Path(home)
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = read_apart(
            list(corpus(folder, options.mutations, options.only, options.part)), Path(home), options.jobs
        )
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
        return
    counts = Counter(outcome.whole for outcome in outcomes)
    print(
        f"{counts[True]} whole videos, {counts[False]} damaged ones, {sum(o.told for o in outcomes)} of which are told"
    )
    for what, names in faults(outcomes).items():
        print(f"{what:34} {len(names):4}  {', '.join(names[:12])}{' …' if len(names) > 12 else ''}")


if __name__ == "__main__":
    main()
