"""`kinema bench`: how fast networks are on this machine, held against what the machine can do."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.choices import Engine, Precision
from kinema.console.progress import TerminalProgress
from kinema.console.tables import plain_console
from kinema.errors import UsageError, check_settings
from kinema.files import check_folder, write_json
from kinema.machine import num_cores, processor
from kinema.profiling.isolated import Asked, measured_apart

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

log = logging.getLogger("kinema")

Row = dict[str, Any]

MODELS = "single_frame_small,slow_fusion_small,slowfast_small,causal_small,x3d_xs,r3d_18"
SHRUNK = 112
"""The short side of the frames that a film is decoded to, in pixels."""
USUAL_FPS = 30.0
"""Frame rate of the film that is meant where none is given."""


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Settings of a measurement."""

    models: str = MODELS
    """Networks by name (`kinema models`), checkpoints or run folders, with commas between."""
    video: str | None = None
    """A film: how fast it can be decoded is measured too, and speeds are told for its frame rate instead of 30."""
    engine: Engine = "auto"
    """What computes: torch, openvino or winograd (on a CPU, prepared at the first use), or auto: what is usually the fastest."""
    device: str = "auto"
    """Where the networks run: auto, cpu, cuda, cuda:1."""
    precision: Precision = "auto"
    """Number format; auto is bf16 where the machine is fast at it, else f32."""
    batch_size: int = 8
    """Clips that are scored together."""
    seconds: float = 2.0
    """How long each figure is measured."""
    train: bool = False
    """Time training steps as well."""
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

    def asked(self, model: str) -> Asked:
        """What a process is to measure."""
        running = (self.engine, self.device, self.precision)
        return Asked(model, *running, self.batch_size, self.seconds, self.train)


def bench(config: BenchConfig = BenchConfig()) -> int:
    """Measure how fast networks are on this machine, and how much of it they use.

    Peaks of the machine come first, then each network in a process of its own: clips a second in batches, the time of one
    clip alone, the share of the peak that its multiply-adds reach, memory, and the time from the start of a program to
    its first answer. Networks by name have random weights, which takes as long.

    Examples:
        kinema bench

        kinema bench --models slow_fusion_small,r3d_18 --engine openvino --video match.mp4

        kinema bench --models runs/slow_fusion-1 --train --out runs/bench

        kinema bench --device cuda --precision bf16 --batch-size 32 --json
    """
    costs = _costs(config)
    if config.out:
        check_folder(config.out)
    found: Row = {"machine": _machine(config), "film": _film(config), "networks": []}
    fps = found["film"]["fps"] if found["film"] else USUAL_FPS
    for row in _measured(config, costs):
        found["networks"].append(_completed(row, found["machine"], fps))
    found = _rounded(found)
    _give(found, config)
    failed = [row for row in found["networks"] if "error" in row]
    for row in failed:
        log.error("%s: %s", row["name"], row["error"])
    return 1 if failed else 0


def _costs(config: BenchConfig) -> dict[str, Row]:
    """Parameters, multiply-adds and input of each network; a name that does not exist is found before anything is timed."""
    from kinema.inspection.summary import summarize
    from kinema.weights.named import network_without_weights

    if not config.names:
        raise UsageError("nothing to measure", "--models", "name a network, such as slow_fusion_small")
    found: dict[str, Row] = {}
    for name in config.names:
        network = network_without_weights(name)
        counted = summarize(network)
        about = {"params": counted.params, "macs": counted.macs, "input": list(counted.input)}
        found[name] = {**about, "spec": network.spec}
    return found


def _machine(config: BenchConfig) -> Row:
    """The machine with its peaks in the number formats that matter here."""
    from importlib.metadata import version

    from kinema.profiling.peaks import matrix_gflops, memory_gb_s

    log.info("measuring the machine")
    formats = dict.fromkeys(("f32", "bf16", *(["fp16"] if config.precision == "fp16" else [])))
    return {
        "processor": processor(),
        "cores": num_cores(),
        "torch": version("torch"),
        "peaks_gflops": {name: matrix_gflops(config.device, name, config.seconds / 2) for name in formats},
        "memory_gb_s": memory_gb_s(config.device, config.seconds / 2),
    }


def _film(config: BenchConfig) -> Row | None:
    """How fast the film is decoded, by PyAV alone and to small RGB frames."""
    if config.video is None:
        return None
    from kinema.timing import items_per_s
    from kinema.video import open_video
    from kinema.video.raw import decode_only

    path = config.video
    with open_video(path) as video:
        info = video.info
        log.info("measuring %s", path)
        shrunk = items_per_s(lambda: video.iterate(SHRUNK), config.seconds)
    about = {"path": path, "height": info.height, "width": info.width, "fps": info.fps, "duration_s": info.duration_s}
    decoded = items_per_s(lambda: decode_only(path), config.seconds)
    return {**about, "decoded_frames_per_s": decoded, "shrunk_frames_per_s": shrunk, "shrunk_to": SHRUNK}


def _measured(config: BenchConfig, costs: dict[str, Row]) -> Iterator[Row]:
    """Each network with what it costs and what its process found."""
    with TerminalProgress().count("measuring networks", len(costs)) as advance:
        for name, cost in costs.items():
            if not sys.stderr.isatty():
                log.info("measuring %s", name)
            yield {"name": name, **cost, **measured_apart(config.asked(name)), "batch_size": config.batch_size}
            advance(1)


def _completed(row: Row, machine: Row, fps: float) -> Row:
    """A row with what follows from its figures."""
    from kinema.profiling.speed import clips_a_minute

    spec = row.pop("spec")
    if "error" in row:
        return row
    gflops = 2 * row["macs"] * row["clips_per_s"] / 1e9
    times = 60.0 * row["clips_per_s"] / clips_a_minute(spec, fps)
    return {
        **row,
        "gflops": gflops,
        "share_of_peak": gflops / machine["peaks_gflops"][row["precision"]],
        "times_real_time": times,
        "film_frames_per_s": times * fps,
    }


def _rounded(value: Any) -> Any:
    """The same with four digits of each figure: none of them is known better."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _give(found: Row, config: BenchConfig) -> None:
    """Print and keep what was found."""
    if config.out:
        write_json(Path(config.out) / "bench.json", found)
        _draw(found, Path(config.out) / "bench.png")
    if config.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print(found)


def _draw(found: Row, path: Path) -> None:
    from kinema.charts import paired_bars, save_figure

    rows = [row for row in found["networks"] if "error" not in row]
    if not rows:
        return
    bars = [(row["name"], row["clips_per_s"], 100 * row["share_of_peak"]) for row in rows]
    precision = ", ".join(dict.fromkeys(f"{row['engine']} {row['precision']}" for row in rows))
    title = f"{_place(found['machine'])}, {precision}"
    save_figure(paired_bars(bars, "clips a second", "% of the peak of matrix products", title), path)


def _place(machine: Row) -> str:
    return f"{machine['processor']}, {machine['cores']} core{'' if machine['cores'] == 1 else 's'}"


def _print(found: Row) -> None:
    console = plain_console() if sys.stdout.isatty() else plain_console(width=200)
    for line in _about(found):
        console.print(line, soft_wrap=True)
    rows = [row for row in found["networks"] if "error" not in row]
    if rows:
        _print_networks(rows, console)


def _about(found: Row) -> Iterator[str]:
    """The machine and the film in words."""
    machine, film = found["machine"], found["film"]
    peaks = ", ".join(f"{name} {value:,.0f} GFLOP/s" for name, value in machine["peaks_gflops"].items())
    yield f"{_place(machine)}, torch {machine['torch']}"
    yield f"peaks: {peaks} in matrix products, {machine['memory_gb_s']:,.1f} GB/s in memory"
    if film:
        speeds = (("decoded", film["decoded_frames_per_s"]), (f"shrunk to {SHRUNK}", film["shrunk_frames_per_s"]))
        paces = ", ".join(f"{name} {speed:,.0f} frames/s ({speed / film['fps']:,.1f}x)" for name, speed in speeds)
        yield f"{film['path']}, {film['width']}x{film['height']} at {film['fps']:g} frames/s: {paces}"
    yield ""


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("clips/s", lambda row: f"{row['clips_per_s']:,.1f}"),
    ("1 clip ms", lambda row: f"{1000 * row['clip_p50_s']:,.1f}"),
    ("p95", lambda row: f"{1000 * row['clip_p95_s']:,.1f}"),
    ("GMACs", lambda row: f"{row['macs'] / 1e9:,.2f}"),
    ("of peak", lambda row: f"{row['share_of_peak']:.0%}"),
    ("real time", lambda row: f"{row['times_real_time']:,.1f}x"),
    ("MiB", lambda row: "" if row["memory_mib"] is None else f"{row['memory_mib']:,.0f}"),
    ("start s", lambda row: f"{row['start']['total_s']:.1f}"),
)


def _print_networks(rows: list[Row], console: Console) -> None:
    table = _table(rows)
    console.print(table)
    running = ", ".join(dict.fromkeys(f"{row['engine']} {row['precision']} on {row['device']}" for row in rows))
    console.print(f"\n{running}; clips/s in batches of {rows[0]['batch_size']}", soft_wrap=True)
    for row in rows:
        if row["step_p50_s"] is not None:
            times = f"{1000 * row['step_p50_s']:.1f} ms (p95 {1000 * row['step_p95_s']:.1f})"
            console.print(f"{row['name']}, frame by frame: {times} a frame", soft_wrap=True)


def _table(rows: list[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("network", overflow="fold")
    columns = list(_COLUMNS)
    if rows[0]["train_clips_per_s"] is not None:
        columns.append(("training clips/s", lambda row: f"{row['train_clips_per_s']:,.1f}"))
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row["name"], *(text(row) for _, text in columns))
    return table
