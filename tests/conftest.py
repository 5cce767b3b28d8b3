"""Synthetic videos for all tests, drawn once a session into a temporary folder.

Functions:  draw_count(index, size=(64, 96)) -> frame; read_count(frame) -> index; write_frames(path, frames, ...)
            -> path; open_files() -> how many files this process holds open
Videos (all paths; every frame shows its own number, see `draw_count`; 96 wide, 64 high, 25 fps unless said otherwise):
    counting_video      120 frames, H.264 with B-frames, a keyframe every 48
    long_gop_video      150 frames, one keyframe only
    short_video         5 frames                        one_frame_video     1 frame
    vfr_video           40 frames at `vfr_times_s`      ten_bit_video       30 frames, 10 bits, 4:2:0
    odd_video           20 frames of 65 x 97 (h x w)    mkv_video           50 frames, no duration in the header
    avi_video           60 frames, MPEG-4 with B-frames raw_video           60 frames, bare .h264 without timestamps
    edit_list_video     70 of 75 frames shown: 5 .. 74  negative_video      50 frames, the first ones before 0 s
    wide_pixel_video    20 frames, pixels 4:3           still_image         a .png that shows 7
    rotated_videos      {0|90|180|270: path}, 20 frames; upright only once rotation is applied
    gif_video           12 frames with `gif_times_s`    image_folder        12 pictures, frame_1.png ... frame_12.png
    damaged_video       120 frames, bytes in its middle overwritten (an .mkv)
Not videos: empty_file, text_file (.mp4), truncated_video (no index), audio_file, zero_frame_video
Folders:    motion_folder: train/valid x 8 classes of kinema.video.synthetic motions, 3 + 2 clips each (small!)
            films: the same with 2 + 1 clips; runs: networks a and b trained on films; light_and_dark: 2 classes, 3 + 3 clips
            (all are read only: a test that changes one copies it first)
Predictors: make_predictor(batch_size=8, **input changes) tells dark clips from light ones; two_part_film: 2 s dark, 2 s light
Packages:   package_copy: a copy of kinema to which a test adds files, and what runs command lines with it
Other:      real_data: Path of $KINEMA_DATA, or the test is skipped; home: a cache folder of the test's own
"""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

if "PYTEST_XDIST_WORKER" in os.environ:  # several workers share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

try:  # shapes and types of the rooms with tensors are checked while testing
    from jaxtyping import install_import_hook

    install_import_hook(["kinema.clips", "kinema.models", "kinema.inspection", "kinema.weights"], "beartype.beartype")
except ImportError:
    pass

import torch
from torch import Tensor, nn

import kinema
from kinema.inference.predictor import Predictor
from kinema.models.network import Network
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard

Frame = NDArray[np.uint8]
_SIZE = (64, 96)
_ROWS, _COLUMNS = 3, 4  # 12 bits


def _draw_count(index: int, size: tuple[int, int] = _SIZE) -> Frame:
    """A frame [h w c] whose 3 x 4 blocks are the bits of `index` (light is one), with a moving pattern laid over it."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    block = (y * _ROWS // height) * _COLUMNS + x * _COLUMNS // width
    light = np.where((index >> block) & 1, 215, 40)
    ripple = (
        15 * np.sin((x + 3 * index) / 5.0)[..., None] + np.array([9, 0, -9]) * np.cos((y - 2 * index) / 6.0)[..., None]
    )
    return np.clip(light[..., None] + ripple, 0, 255).astype(np.uint8)


def _read_count(frame: Frame) -> int:
    """The number that a frame of `draw_count` shows, at any size."""
    height, width = frame.shape[:2]
    index = 0
    for bit in range(_ROWS * _COLUMNS):
        row, column = divmod(bit, _COLUMNS)
        top, left = row * height / _ROWS, column * width / _COLUMNS
        rows = slice(int(top + height / 12), max(int(top + height / 4), int(top + height / 12) + 1))
        columns = slice(int(left + width / 16), max(int(left + 3 * width / 16), int(left + width / 16) + 1))
        index |= int(frame[rows, columns].mean() > 128) << bit
    return index


def _write_frames(
    path: Path,
    frames: Iterable[Frame],
    *,
    fps: float = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode frames [h w c]. `times_ms` gives uneven display times; `rotation` is written as a display matrix only."""
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate if times_ms is None else 1000)
        stream.pix_fmt, stream.options = pix_fmt, dict(options or {})
        stream.time_base = stream.codec_context.time_base = 1 / rate if times_ms is None else Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = number if times_ms is None else times_ms[number]
            frame.time_base = stream.codec_context.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


X264 = {"crf": "18", "bf": "3", "sc_threshold": "0", "threads": "1"}


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from or written to the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINEMA_HOME", str(tmp_path_factory.mktemp("kinema_home")))
        yield


@pytest.fixture(autouse=True)
def torch_by_itself(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "auto" is torch, since converting each small network takes seconds; tests marked `openvino` go by what is installed."""
    if request.node.get_closest_marker("openvino") is None:
        monkeypatch.setattr("kinema.engines.choose.usual_engine", lambda: "torch")


@pytest.fixture(scope="session")
def draw_count() -> Callable[..., Frame]:
    return _draw_count


@pytest.fixture(scope="session")
def read_count() -> Callable[[Frame], int]:
    return _read_count


@pytest.fixture(scope="session")
def write_frames() -> Callable[..., Path]:
    return _write_frames


@pytest.fixture(scope="session")
def open_files() -> Callable[[], int]:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("counts open files through /proc")
    return lambda: len(os.listdir(folder))


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


def _counting(path: Path, num_frames: int, size: tuple[int, int] = _SIZE, **how: Any) -> Path:
    how.setdefault("options", {**X264, "g": "48"})
    return _write_frames(path, (_draw_count(index, size) for index in range(num_frames)), **how)


@pytest.fixture(scope="session")
def counting_video(video_folder: Path) -> Path:
    return _counting(video_folder / "counting.mp4", 120)


@pytest.fixture(scope="session")
def long_gop_video(video_folder: Path) -> Path:
    return _counting(video_folder / "long_gop.mp4", 150, options={**X264, "g": "999"})


@pytest.fixture(scope="session")
def short_video(video_folder: Path) -> Path:
    return _counting(video_folder / "short.mp4", 5)


@pytest.fixture(scope="session")
def one_frame_video(video_folder: Path) -> Path:
    return _counting(video_folder / "one_frame.mp4", 1)


@pytest.fixture(scope="session")
def vfr_times_s() -> NDArray[np.float64]:
    """Display times of `vfr_video`: gaps of 20, 40, 60, 200 ms."""
    gaps = np.random.default_rng(0).choice([20, 40, 60, 200], size=39)
    return np.concatenate([[0], np.cumsum(gaps)]) / 1000


@pytest.fixture(scope="session")
def vfr_video(video_folder: Path, vfr_times_s: NDArray[np.float64]) -> Path:
    times_ms = [round(1000 * t) for t in vfr_times_s]
    return _counting(video_folder / "vfr.mp4", 40, times_ms=times_ms, options={**X264, "g": "12"})


@pytest.fixture(scope="session")
def ten_bit_video(video_folder: Path) -> Path:
    return _counting(video_folder / "ten_bit.mp4", 30, pix_fmt="yuv420p10le")


@pytest.fixture(scope="session")
def odd_video(video_folder: Path) -> Path:
    return _counting(video_folder / "odd.mkv", 20, (65, 97), codec="ffv1", pix_fmt="yuv420p", options={"g": "1"})


@pytest.fixture(scope="session")
def mkv_video(video_folder: Path) -> Path:
    return _counting(video_folder / "live.mkv", 50, options={**X264, "g": "20", "live": "1"}, container="matroska")


@pytest.fixture(scope="session")
def avi_video(video_folder: Path) -> Path:
    return _counting(
        video_folder / "old.avi", 60, codec="mpeg4", options={"bf": "2", "g": "24", "q": "2", "b": "2000000"}
    )


@pytest.fixture(scope="session")
def raw_video(video_folder: Path) -> Path:
    return _counting(video_folder / "raw.h264", 60, options={**X264, "g": "24"}, container="h264")


@pytest.fixture(scope="session")
def edit_list_video(video_folder: Path) -> Path:
    """The container's edit list hides the first 5 of 75 frames."""
    path = _counting(video_folder / "edit_list.mp4", 75)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # type, version and flags, number of entries
    duration, media_time = struct.unpack(">Ii", data[at : at + 8])
    with av.open(str(path)) as film:
        ticks = int(5 / 25 / film.streams.video[0].time_base)
    struct.pack_into(">Ii", data, at, duration * 70 // 75, media_time + ticks)
    path.write_bytes(data)
    return path


@pytest.fixture(scope="session")
def negative_video(video_folder: Path) -> Path:
    """Timestamps below zero are left in the file instead of being shifted."""
    times_ms = [-400 + 40 * index for index in range(50)]
    keep = {"avoid_negative_ts": "disabled"}
    how: dict[str, Any] = {"codec": "mpeg4", "options": {"q": "2", "b": "2000000", "g": "24"}}
    return _counting(video_folder / "negative.mkv", 50, times_ms=times_ms, container_options=keep, **how)


@pytest.fixture(scope="session")
def wide_pixel_video(video_folder: Path) -> Path:
    return _counting(video_folder / "wide_pixels.mp4", 20, aspect=Fraction(4, 3))


@pytest.fixture(scope="session")
def rotated_videos(video_folder: Path) -> dict[int, Path]:
    """Stored lying on their side; a reader that applies the display matrix sees them upright."""
    paths = {}
    for degrees in (0, 90, 180, 270):
        frames = (np.rot90(_draw_count(index), -degrees // 90) for index in range(20))
        path = video_folder / f"rotated_{degrees}.mp4"
        paths[degrees] = _write_frames(path, frames, options={**X264, "g": "48"}, rotation=degrees)
    return paths


@pytest.fixture(scope="session")
def still_image(video_folder: Path) -> Path:
    from PIL import Image

    path = video_folder / "still.png"
    Image.fromarray(_draw_count(7)).save(path)
    return path


@pytest.fixture(scope="session")
def image_folder(video_folder: Path) -> Path:
    from PIL import Image

    folder = video_folder / "pictures"
    folder.mkdir()
    for number in range(1, 13):
        Image.fromarray(_draw_count(number - 1)).save(folder / f"frame_{number}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="session")
def gif_times_s() -> NDArray[np.float64]:
    """Display times of `gif_video`: frames of 50, 100, 300 ms in turn."""
    return np.concatenate([[0], np.cumsum(np.tile([50, 100, 300], 4)[:-1])]) / 1000


@pytest.fixture(scope="session")
def gif_video(video_folder: Path) -> Path:
    from PIL import Image

    path = video_folder / "animated.gif"
    first, *rest = [Image.fromarray(_draw_count(index)) for index in range(12)]
    first.save(path, save_all=True, append_images=rest, duration=[50, 100, 300] * 4, loop=0)
    return path


@pytest.fixture(scope="session")
def damaged_video(video_folder: Path) -> Path:
    """The coded pictures from frame 60 to 66 are noise; what follows is whole again from the keyframe at 96."""
    path = _counting(video_folder / "damaged.mkv", 120)
    with av.open(str(path)) as film:
        packets = [(p.pos, p.size) for p in film.demux(video=0) if p.pos is not None]
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for position, size in packets[60:67]:
        start, end = position + 16, position + size
        data[start:end] = noise.integers(0, 256, max(end - start, 0), dtype=np.uint8).tobytes()
    path.write_bytes(data)
    return path


@pytest.fixture(scope="session")
def empty_file(video_folder: Path) -> Path:
    path = video_folder / "empty.mp4"
    path.write_bytes(b"")
    return path


@pytest.fixture(scope="session")
def text_file(video_folder: Path) -> Path:
    path = video_folder / "text.mp4"
    path.write_text("This is no film, only words. " * 50)
    return path


@pytest.fixture(scope="session")
def truncated_video(video_folder: Path, counting_video: Path) -> Path:
    """The second half is missing, and with it the index at the end."""
    path = video_folder / "truncated.mp4"
    data = counting_video.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.fixture(scope="session")
def audio_file(video_folder: Path) -> Path:
    path = video_folder / "audio.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def zero_frame_video(video_folder: Path) -> Path:
    path = video_folder / "zero_frames.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        output.start_encoding()
    return path


@pytest.fixture(scope="session")
def motion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/valid x 8 classes of motion, 3 + 2 clips of 24 frames at 48 x 48 each."""
    from kinema.video.synthetic import MOTIONS, draw_motion

    root = tmp_path_factory.mktemp("motions")
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("valid", 2)):
        for label in MOTIONS:
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                _write_frames(root / part / label / f"{number}.mp4", draw_motion(label, rng), options={"crf": "18"})
    return root


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/valid x 8 classes of motion, 2 + 1 clips each."""
    from kinema.datasets.synthetic import write_motion_set

    return Path(write_motion_set(tmp_path_factory.mktemp("films") / "set", 2, 1))


@pytest.fixture(scope="session")
def runs(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs a and b on `films`: a single frame, and slow fusion."""
    from kinema import cli

    folder = tmp_path_factory.mktemp("trained")
    fast = ["--epochs", "1", "--size", "32", "--batch-size", "8", "--workers", "0", "--precision", "f32"]
    for name, model in (("a", "single_frame_tiny"), ("b", "slow_fusion_tiny")):
        assert cli.run(["train", str(films), "--model", model, "--out", str(folder / name), *fast]) == 0
    return folder


@pytest.fixture(scope="session")
def light_and_dark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/valid x 2 classes that differ in brightness, 3 clips each."""
    root = tmp_path_factory.mktemp("light_and_dark")
    for part in ("train", "valid"):
        for label, level in (("dark", 20), ("light", 220)):
            (root / part / label).mkdir(parents=True)
            for number in range(3):
                frames = [np.full((48, 64, 3), level + number + i % 3, np.uint8) for i in range(12)]
                _write_frames(root / part / label / f"{number}.mp4", frames)
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("KINEMA_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("KINEMA_DATA names no folder of real videos")
    return Path(folder)


_RUN_ALL = """
import contextlib, io, json, sys
from kinema import cli
done = []
for step in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = exec(step) or 0 if isinstance(step, str) else cli.run(step)
    done.append((status, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""


class Done(NamedTuple):
    """What a command line left: its exit status and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def package_copy(tmp_path: Path) -> tuple[Path, Callable[..., list[Done]]]:
    """A copy of the package, to which a test adds files, and a function that runs command lines with it.

    They all run in one process, because each new one would import torch again. A text is run as Python.
    """
    package = tmp_path / "copy" / "kinema"
    shutil.copytree(Path(kinema.__file__).parent, package)  # with what is compiled already

    def run(*steps: list[str] | str) -> list[Done]:
        environment = {**os.environ, "PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        command = [sys.executable, "-c", _RUN_ALL, json.dumps(steps)]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [Done(*one) for one in json.loads(done.stdout)]

    return package, run


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    return tmp_path


SPEC = InputSpec(clip_len=4, frame_stride=2, size=(16, 16), mean=(0.5,) * 3, std=(0.25,) * 3)


class Brightness(Network):
    """Class 1 for light clips, class 0 for dark ones; counts the clips it has seen."""

    def __init__(self, spec: InputSpec = SPEC, num_classes: int = 2) -> None:
        super().__init__(spec, 1, num_classes)
        with torch.no_grad():
            self.classifier.weight.copy_(torch.linspace(-1, 1, num_classes)[:, None])
        self.variant = "brightness"
        self.num_seen = 0
        self.largest_batch = 0

    def features(self, clip: Tensor) -> Tensor:
        self.num_seen += 0 if clip.is_meta else len(clip)  # a network may be looked at without computing anything
        self.largest_batch = max(self.largest_batch, len(clip))
        return clip.mean(dim=(1, 2, 3, 4))[:, None]

    def stages(self) -> list[tuple[str, nn.Module]]:
        return []


@pytest.fixture
def make_predictor() -> Callable[..., Predictor]:
    def make(batch_size: int = 8, **changes: object) -> Predictor:
        network = Brightness(SPEC.with_(**changes))
        card = ModelCard("brightness", {}, ("dark", "light"), input=network.spec)
        return Predictor(network, card, device="cpu", precision="f32", batch_size=batch_size)

    return make


@pytest.fixture(scope="session")
def two_part_film(tmp_path_factory: pytest.TempPathFactory, write_frames: Callable[..., Path]) -> Path:
    """4 s at 25 frames/s: 2 s dark, 2 s light."""
    levels = np.repeat([30, 220], 50)
    frames = [np.full((32, 48, 3), level, np.uint8) for level in levels]
    return write_frames(tmp_path_factory.mktemp("films") / "two_parts.mp4", frames)


def _grey_jpeg(level: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((32, 48, 3), level, np.uint8)).save(file, "JPEG")
    return file.getvalue()


@contextlib.contextmanager
def _serve_camera(*frames: int, fps: float = 100, stalls: bool = False) -> Iterator[tuple[str, list[float]]]:
    """Serve Motion JPEG over HTTP: so many frames to the first caller, to the second …; gives address and times of calls.

    The brightness of frame i is i modulo 200. Callers after the last number are refused.
    """
    calls: list[float] = []
    stop = threading.Event()
    pictures = [_grey_jpeg(level) for level in range(200)]

    class Answer(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            calls.append(time.monotonic())
            if len(calls) > len(frames):
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.send(frames[len(calls) - 1])

        def send(self, number: int) -> None:
            began_s = time.monotonic()
            for index in range(number):
                if stop.wait(max(0.0, began_s + index / fps - time.monotonic())):
                    return
                data = pictures[index % 200]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                self.wfile.flush()
            if stalls:
                stop.wait(30)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", calls
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def camera():
    """See `_serve_camera`."""
    return _serve_camera
