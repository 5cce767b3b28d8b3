"""`kinema bench`: the speed of networks on this machine, compared with the peaks of the machine."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

from kinema.choices import EngineName, Precision
from kinema.console.progress import TerminalProgress
from kinema.console.tables import plain_console
from kinema.errors import KinemaError, UsageError, check_settings
from kinema.files import check_folder, write_json
from kinema.machine import num_cores, processor
from kinema.profiling.isolated import measure_isolated
from kinema.profiling.report import SpeedRequest

if TYPE_CHECKING:
    from kinema.models.network import Network

log = logging.getLogger("kinema")

Value = TypeVar("Value")

MODELS = "single_frame_small,slow_fusion_small,slowfast_small,causal_small,x3d_xs,r3d_18"
SHORT_SIDE = 112
"""Short side in pixels of the frames that a video is decoded to."""
USUAL_FPS = 30.0
"""Frame rate that real time is counted in without a video."""


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Settings of a measurement."""

    models: str = MODELS
    """Networks by name (`kinema models`), checkpoints or run folders, separated by commas."""
    video: str | None = None
    """A video: its decoding is measured as well, and its frame rate replaces 30 for real time."""
    engine: EngineName = "auto"
    """What computes: torch, openvino (on a CPU; the network is converted at the first use), or auto, which is usually the
    fastest."""
    device: str = "auto"
    """Device of the networks: auto, cpu, cuda, cuda:1."""
    precision: Precision = "auto"
    """Number format; auto is bf16 if the machine is fast at it, else f32."""
    batch_size: int = 8
    """Clips that are scored together."""
    seconds: float = 2.0
    """Seconds that each figure is measured."""
    train: bool = False
    """Also measure training steps."""
    json: bool = False
    """Print one JSON document instead of a table."""
    out: str | None = None
    """Folder for bench.json and bench.png."""

    def __post_init__(self) -> None:
        check_settings({"batch_size": self.batch_size}, 1)
        check_settings({"seconds": self.seconds}, 0.01)

    @property
    def names(self) -> list[str]:
        """The networks, each once."""
        return list(dict.fromkeys(name.strip() for name in self.models.split(",") if name.strip()))


@dataclass(frozen=True)
class Machine:
    """The machine and its peaks: matrix products by number format, and memory."""

    processor: str
    cores: int
    torch: str
    peaks_gflops: dict[str, float]
    memory_gb_s: float

    @classmethod
    def measure(cls, config: BenchConfig) -> Machine:
        """Measure the peaks in the number formats of the request."""
        from importlib.metadata import version

        from kinema.profiling.peaks import matrix_gflops, memory_gb_s

        formats = dict.fromkeys(("f32", "bf16", *(["fp16"] if config.precision == "fp16" else [])))
        peaks = {name: matrix_gflops(config.device, name, config.seconds / 2) for name in formats}
        memory = memory_gb_s(config.device, config.seconds / 2)
        return cls(processor(), num_cores(), version("torch"), peaks, memory)

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} core{'' if self.cores == 1 else 's'}"


@dataclass(frozen=True)
class VideoSpeed:
    """How fast a video is decoded: with PyAV alone, and to RGB frames with the short side `shrunk_to`."""

    path: str
    height: int
    width: int
    fps: float
    duration_s: float
    decoded_frames_per_s: float
    shrunk_frames_per_s: float
    shrunk_to: int = SHORT_SIDE

    @classmethod
    def measure(cls, path: str, seconds: float) -> VideoSpeed:
        """Decode the video again and again, for `seconds` each way."""
        from kinema.timing import items_per_s
        from kinema.video import open_video
        from kinema.video.raw import decode_only

        with open_video(path) as video:
            info = video.info
            shrunk = items_per_s(lambda: video.iterate(SHORT_SIDE), seconds)
        decoded = items_per_s(lambda: decode_only(path), seconds)
        return cls(path, info.height, info.width, info.fps, info.duration_s, decoded, shrunk)

    def __str__(self) -> str:
        speeds = (("decoded", self.decoded_frames_per_s), (f"shrunk to {self.shrunk_to}", self.shrunk_frames_per_s))
        shown = ", ".join(f"{name} {speed:,.0f} frames/s ({speed / self.fps:,.1f}x)" for name, speed in speeds)
        return f"{self.path}, {self.width}x{self.height} at {self.fps:g} frames/s: {shown}"


class Measured(TypedDict):
    """The figures of a network that runs; times are those of one clip, and of one frame for networks with memory."""

    name: str
    params: int
    macs: int
    engine: str
    device: str
    precision: str
    clips_per_s: float
    clip_p50_s: float
    clip_p95_s: float
    step_p50_s: float | None
    step_p95_s: float | None
    memory_mib: float | None
    train_clips_per_s: float | None
    start: dict[str, float]
    batch_size: int
    share_of_peak: float
    times_real_time: float


def bench(config: BenchConfig = BenchConfig()) -> int:
    """Measure how fast networks are on this machine, and how much of it they use.

    First come the peaks of the machine, then each network in its own process: clips a second in batches, the time of one
    clip alone, the share of the peak that its multiply-adds reach, memory, and the time from the start of a program to
    its first answer. Networks by name have random weights, which take the same time.

    Examples:
        kinema bench

        kinema bench --models slow_fusion_small,r3d_18 --engine openvino --video match.mp4

        kinema bench --models runs/slow_fusion-1 --train --out runs/bench

        kinema bench --device cuda --precision bf16 --batch-size 32 --json
    """
    from kinema.weights.named import network_without_weights

    if not config.names:
        raise UsageError("nothing to measure", "--models", "name a network, such as slow_fusion_small")
    networks = {name: network_without_weights(name) for name in config.names}  # before anything is measured
    if config.out:
        check_folder(config.out)
    log.info("measuring the machine")
    machine, video = Machine.measure(config), None
    if config.video is not None:
        log.info("measuring %s", config.video)
        video = VideoSpeed.measure(config.video, config.seconds)
    rows: list[dict[str, object]] = []
    with TerminalProgress().count("measuring networks", len(networks)) as advance:
        for name, network in networks.items():
            rows.append(_measure(name, network, config, machine, video.fps if video else USUAL_FPS))
            advance(1)
    rows, machine = rounded(rows), Machine(**rounded(asdict(machine)))
    video = VideoSpeed(**rounded(asdict(video))) if video else None
    document = {"machine": asdict(machine), "film": asdict(video) if video else None, "networks": rows}
    working = cast("list[Measured]", [row for row in rows if "error" not in row])
    if config.out:
        write_json(Path(config.out) / "bench.json", document)
        _draw(working, machine, Path(config.out) / "bench.png")
    if config.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        _print(working, machine, video)
    failed = [row for row in rows if "error" in row]
    for row in failed:
        log.error("%s: %s", row["name"], row["error"])
    return 1 if failed else 0


def _measure(name: str, network: Network, config: BenchConfig, machine: Machine, fps: float) -> dict[str, object]:
    """The costs of a network and what a process of its own measures, or its error."""
    from kinema.inspection.summary import summarize
    from kinema.profiling.speed import clips_a_minute

    if not sys.stderr.isatty():
        log.info("measuring %s", name)
    counted = summarize(network)
    row: dict[str, object] = {
        "name": name, "params": counted.params, "macs": counted.macs, "input": list(counted.input),
    }  # fmt: skip
    request = SpeedRequest(
        name, config.engine, config.device, config.precision, config.batch_size, config.seconds, config.train
    )
    try:
        report = measure_isolated(request)
    except KinemaError as error:
        return {**row, "error": str(error), "batch_size": config.batch_size}
    gflops = 2 * counted.macs * report.speed.clips_per_s / 1e9
    times_real_time = 60.0 * report.speed.clips_per_s / clips_a_minute(network.spec, fps)
    return {
        **row,
        **report.to_json(),
        "batch_size": config.batch_size,
        "gflops": gflops,
        "share_of_peak": gflops / machine.peaks_gflops[report.precision],
        "times_real_time": times_real_time,
        "film_frames_per_s": times_real_time * fps,
    }


def rounded(value: Value) -> Value:
    """The value with four digits of each figure: no measurement is more exact."""
    found: object = value
    if isinstance(value, dict):
        found = {name: rounded(inner) for name, inner in value.items()}
    elif isinstance(value, list):
        found = [rounded(inner) for inner in value]
    elif isinstance(value, float):
        found = float(f"{value:.4g}")
    return cast("Value", found)


def _draw(rows: list[Measured], machine: Machine, path: Path) -> None:
    from kinema.charts import paired_bars, save_figure

    if rows:
        bars = [(row["name"], row["clips_per_s"], 100 * row["share_of_peak"]) for row in rows]
        engines = ", ".join(dict.fromkeys(f"{row['engine']} {row['precision']}" for row in rows))
        title = f"{machine}, {engines}"
        save_figure(paired_bars(bars, "clips a second", "% of the peak of matrix products", title), path)


COLUMNS: tuple[tuple[str, Callable[[Measured], str]], ...] = (
    ("clips/s", lambda row: f"{row['clips_per_s']:,.1f}"),
    ("1 clip ms", lambda row: f"{1000 * row['clip_p50_s']:,.1f}"),
    ("p95", lambda row: f"{1000 * row['clip_p95_s']:,.1f}"),
    ("GMACs", lambda row: f"{row['macs'] / 1e9:,.2f}"),
    ("of peak", lambda row: f"{row['share_of_peak']:.0%}"),
    ("real time", lambda row: f"{row['times_real_time']:,.1f}x"),
    ("MiB", lambda row: "" if row["memory_mib"] is None else f"{row['memory_mib']:,.0f}"),
    ("start s", lambda row: f"{row['start']['total_s']:.1f}"),
)


def _print(rows: list[Measured], machine: Machine, video: VideoSpeed | None) -> None:
    from rich.table import Table

    lines = [f"{machine}, torch {machine.torch}"]
    peaks = ", ".join(f"{name} {value:,.0f} GFLOP/s" for name, value in machine.peaks_gflops.items())
    lines.append(f"peaks: {peaks} in matrix products, {machine.memory_gb_s:,.1f} GB/s in memory")
    lines += [str(video)] if video else []
    console = plain_console() if sys.stdout.isatty() else plain_console(width=200)
    for line in [*lines, ""]:
        console.print(line, soft_wrap=True)
    if not rows:
        return
    columns = list(COLUMNS)
    if rows[0]["train_clips_per_s"] is not None:
        columns.append(("training clips/s", lambda row: f"{row['train_clips_per_s']:,.1f}"))
    table = Table(box=None, pad_edge=False)
    table.add_column("network", overflow="fold")
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row["name"], *(text(row) for _, text in columns))
    console.print(table)
    running = ", ".join(dict.fromkeys(f"{row['engine']} {row['precision']} on {row['device']}" for row in rows))
    console.print(f"\n{running}; clips/s in batches of {rows[0]['batch_size']}", soft_wrap=True)
    for row in rows:
        if row["step_p50_s"] is not None:
            times = f"{1000 * row['step_p50_s']:.1f} ms (p95 {1000 * (row['step_p95_s'] or 0):.1f})"
            console.print(f"{row['name']}, frame by frame: {times} a frame", soft_wrap=True)
