"""`kinema flow`: the optical flow of a data set, computed ahead of training."""

from __future__ import annotations

import functools
import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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

_DEFAULT_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Settings of the computation of optical flow."""

    model: str | None = None
    """Take size and method from this network: a network's name, or a checkpoint."""
    method: FlowMethod | None = None
    """Method of the flow; default: that of --model, else dis. raft uses the GPU if there is one."""
    size: str | None = None
    """Short side of the frames in pixels, or HEIGHTxWIDTH for networks that squeeze the frame; default: that of --model,
    else 256, for networks with input 224x224."""
    out: str | None = None
    """The folder; default: .kinema/flow beside the videos, which training reads as well. For another folder give training
    --flow-cache."""
    format: DataFormat = "auto"
    """Format of the data set; auto detects it."""
    workers: int | None = None
    """Processes; default: one for each core but one, at most 8."""
    json: bool = False
    """Print a summary as JSON."""

    def __post_init__(self) -> None:
        check_settings({"workers": self.workers}, 0)


@dataclass(frozen=True)
class Outcome:
    """The result for one video: whether its flow was computed now, its frames and bytes; or the error."""

    path: str
    computed: bool = False
    num_frames: int = 0
    num_bytes: int = 0
    error: str = ""


@dataclass
class Tally:
    """The results of all videos."""

    num_computed: int = 0
    num_there: int = 0
    num_frames: int = 0
    num_bytes: int = 0
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one video."""
        if outcome.error:
            self.failed.append(outcome)
            return
        self.num_computed += outcome.computed
        self.num_there += not outcome.computed
        self.num_frames += outcome.num_frames
        self.num_bytes += outcome.num_bytes

    def to_json(self) -> dict[str, object]:
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

    Training and evaluation also compute the flow of each video that has none; this command does it ahead, on all cores. It
    skips videos whose flow is there, so it can be stopped and given again. Files that cannot be read are named and
    counted; the exit status is then 1.

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
    # raft is a network of its own, which needs the GPU or all cores.
    workers = 0 if method.startswith("raft") else worker_count(config.workers)
    started, tally = time.monotonic(), Tally()
    with TerminalProgress().count("optical flow", len(paths)) as advance:
        job = functools.partial(compute, str(cache.folder), method, size)
        for outcome in process_map(job, paths, workers):
            tally.add(outcome)
            if outcome.error:
                log.error("%s", outcome.error)
            advance(1)
    seconds = time.monotonic() - started
    about = {"folder": str(cache.folder), "method": cache.method, "size": size, "seconds": round(seconds, 2)}
    if config.json:
        print(json.dumps({**about, **tally.to_json()}, ensure_ascii=False))
    else:
        shown = size if isinstance(size, int) or size is None else "x".join(map(str, size))
        count = (
            f"{tally.num_computed} videos computed, {tally.num_there} were there, {len(tally.failed)} could not be read"
        )
        amount = f"{tally.num_bytes / 1e6:.1f} MB, {tally.num_frames} frames"
        print(f"{cache.folder}: {cache.method} flow at {shown}, {amount}")
        print(f"  {count}, {seconds:.1f} s")
    return 1 if tally.failed else 0


def wanted(config: FlowConfig) -> tuple[str, Size]:
    """Method and size of the decoded frames, from the flags or the network.

    Raises:
        UnknownName: no such network.
        UsageError: it has no optical flow as input, or was trained with another method.
    """
    spec = None if config.model is None else _input_of(config.model, config.method)
    size: Size = _DEFAULT_SIZE
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


def compute(folder: str, method: str, size: Size, path: str) -> Outcome:
    """Compute the flow of one video if it is not in the folder."""
    cache = _open_cache(folder, method)
    try:
        found = cache.found(path, size)
        kept = found or cache.read(path, size)
    except (VideoError, FileNotFoundError) as error:
        return Outcome(path, error=str(error))
    return Outcome(path, found is None, len(kept.numbers), kept.path.stat().st_size)


@functools.cache
def _open_cache(folder: str, method: str) -> FlowCache:
    from kinema.datasets.flow_cache import FlowCache

    return FlowCache(folder, method)
