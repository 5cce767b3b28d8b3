"""`kinema flow`: the optical flow of a data set, computed ahead of training."""

from __future__ import annotations

import functools
import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.choices import DataFormat, FlowMethod
from kinema.console.progress import TerminalProgress
from kinema.errors import UnknownName, UsageError, VideoError, check_settings
from kinema.machine import worker_count
from kinema.processes import process_map
from kinema.runs.options import parse_size

if TYPE_CHECKING:
    from kinema.datasets.flow_cache import FlowCache
    from kinema.types import InputSpec
    from kinema.video import Size

log = logging.getLogger("kinema")

_USUAL_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Which flow, and where it goes."""

    model: str | None = None
    """Compute what this network asks for, its size and its method: a network's name, or a checkpoint."""
    method: FlowMethod | None = None
    """How flow is computed; without it as --model has it, else dis. raft takes the GPU if there is one."""
    size: str | None = None
    """Short side in pixels of the frames that flow is computed on, or HEIGHTxWIDTH for networks that squeeze the frame;
    without it as --model has it, else 256, which networks for 224x224 want."""
    out: str | None = None
    """The folder; without it .kinema/flow beside the videos, where training looks too. Elsewhere, give --flow-cache there."""
    format: DataFormat = "auto"
    """How the data set is laid out; auto looks."""
    workers: int | None = None
    """Processes; without it one for each core but one, at most 8."""
    json: bool = False
    """Print a summary as JSON."""

    def __post_init__(self) -> None:
        check_settings({"workers": self.workers}, 0)


@dataclass(frozen=True)
class Outcome:
    """What came of one video: whether its flow was computed now, of how many frames, in how many bytes; or why not."""

    path: str
    computed: bool = False
    num_frames: int = 0
    num_bytes: int = 0
    error: str = ""


@dataclass
class Tally:
    """What came of all videos."""

    num_computed: int = 0
    num_there: int = 0
    num_frames: int = 0
    num_bytes: int = 0
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        if outcome.error:
            self.failed.append(outcome)
            return
        self.num_computed += outcome.computed
        self.num_there += not outcome.computed
        self.num_frames += outcome.num_frames
        self.num_bytes += outcome.num_bytes

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "num_computed": self.num_computed,
            "num_there": self.num_there,
            "num_failed": len(self.failed),
            "num_frames": self.num_frames,
            "bytes": self.num_bytes,
            "failed": [
                {"path": outcome.path, "error": outcome.error}
                for outcome in sorted(self.failed, key=lambda outcome: outcome.path)
            ],
        }


def flow(data: str, config: FlowConfig = FlowConfig()) -> int:
    """Compute the optical flow of a data set's videos and keep it on disk, so that training need not.

    Training and evaluation do the same for each video that they come to first; this does it at once, on all cores. A
    video whose flow is there is not computed again, so the command can be stopped and given again. Files that cannot
    be read are named and counted, and leave exit status 1.

    Examples:
        kinema flow videos/ --model two_stream_small

        kinema flow videos/ --method dis --size 256 --out /fast/flow

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    from kinema.datasets import open_data
    from kinema.datasets.flow_cache import FlowCache, default_folder

    listed = open_data(data, format=config.format)
    method, size = wanted(config)
    cache = FlowCache(config.out or default_folder(listed), method)
    paths = list(dict.fromkeys(example.path for example in listed.examples))
    started, tally = time.monotonic(), Tally()
    with TerminalProgress().count("optical flow", len(paths)) as advance:
        job = functools.partial(compute, str(cache.folder), method, size)
        for outcome in process_map(job, paths, _num_workers(config, method)):
            tally.add(outcome)
            if outcome.error:
                log.error("%s", outcome.error)
            advance(1)
    _report(config, cache, size, tally, time.monotonic() - started)
    return 1 if tally.failed else 0


def wanted(config: FlowConfig) -> tuple[str, Size]:
    """Method and decode size, from the flags or the network.

    Raises:
        UnknownName: no such network.
        UsageError: it sees no flow, or learned from another method's.
    """
    spec = None if config.model is None else _input_of(config.model, config.method)
    size: Size = _USUAL_SIZE
    if config.size is not None:
        size = parse_size(config.size) if "x" in config.size.lower() else parse_size(config.size)[0]
    elif spec is not None:
        from kinema.clips.transforms import decode_size

        size = decode_size(spec, train=False)
    return config.method or (spec.flow if spec is not None else "dis"), size


def _input_of(model: str, method: str | None) -> InputSpec:
    from kinema.clips.flow import check_flow
    from kinema.models import VARIANTS

    if model in VARIANTS:
        spec = VARIANTS[model].input
    elif Path(model).exists():
        from kinema.weights.open import trained_card

        spec = trained_card(model).input
        check_flow(spec, method)
    else:
        raise UnknownName("network or checkpoint", model, [name for name in VARIANTS if VARIANTS[name].input.has_flow])
    if not spec.has_flow:
        raise UsageError("this network sees no optical flow", model, "name another one, or give --method and --size")
    return spec


def _num_workers(config: FlowConfig, method: str) -> int:
    if method.startswith("raft"):
        return 0  # a network of its own, which has the GPU or all cores to itself
    return worker_count(config.workers)


def compute(folder: str, method: str, size: Size, path: str) -> Outcome:
    """Make sure that one video's flow is there."""
    cache = _cache(folder, method)
    try:
        found = cache.found(path, size)
        kept = found or cache.read(path, size)
    except (VideoError, FileNotFoundError) as error:
        return Outcome(path, error=str(error))
    return Outcome(path, found is None, len(kept.numbers), kept.path.stat().st_size)


@functools.cache
def _cache(folder: str, method: str) -> FlowCache:
    from kinema.datasets.flow_cache import FlowCache

    return FlowCache(folder, method)


def _report(config: FlowConfig, cache: FlowCache, size: Size, tally: Tally, seconds: float) -> None:
    about = {"folder": str(cache.folder), "method": cache.method, "size": size, "seconds": round(seconds, 2)}
    if config.json:
        print(json.dumps({**about, **tally.to_json()}, ensure_ascii=False))
        return
    shown = size if isinstance(size, int) or size is None else "x".join(map(str, size))
    count = f"{tally.num_computed} videos computed, {tally.num_there} were there, {len(tally.failed)} could not be read"
    print(f"{cache.folder}: {cache.method} flow at {shown}, {tally.num_bytes / 1e6:.1f} MB, {tally.num_frames} frames")
    print(f"  {count}, {seconds:.1f} s")
