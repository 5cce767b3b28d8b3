"""`kinema features`: a trained network as a fixed descriptor of videos, for search, clustering or a classifier elsewhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kinema.choices import Pooling, Precision
from kinema.console.inputs import list_sources
from kinema.console.progress import TerminalProgress, open_trained
from kinema.errors import KinemaError, UnreadableVideo, VideoError, check_settings
from kinema.inference.options import FeatureOptions
from kinema.predictions import Failure
from kinema.runs.feature_files import FeatureTable, check_target, feature_table

if TYPE_CHECKING:
    from kinema.inference.features import VideoFeatures
    from kinema.inference.predictor import Predictor

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Settings of a feature extraction."""

    model: str
    """A checkpoint folder, a run folder with best/ in it, or published weights by name (`kinema models --weights`)."""
    layer: str | None = None
    """Any layer by the name that `kinema describe` shows; without it what stands before the classifier."""
    pool: Pooling = "mean"
    """How the maps of a layer become one vector: mean or max over space and time, or every number (none)."""
    out: str = "features.npz"
    """The table: .npz, or .parquet with the extra parquet."""
    step: float | None = None
    """Seconds between clips; without it one a clip, at least half a second apart."""
    window: float | None = None
    """For networks that spread their frames: seconds of film that they see at once."""
    batch_size: int = 8
    """Clips that go through the network at once; videos share batches."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1."""
    precision: Precision = "auto"
    """Number format; auto is bf16 where the machine is fast at it, else f32. The table is float32."""
    json: bool = False
    """Print a summary as JSON."""

    def __post_init__(self) -> None:
        check_settings({"batch_size": self.batch_size}, 1)
        check_settings({"step": self.step, "window": self.window}, 1e-3)


@dataclass
class _Count:
    """What has come of the videos so far."""

    num_videos: int = 0
    dim: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)

    def fail(self, path: str, error: KinemaError) -> None:
        self.failures.append({"path": path, "error": str(error)})
        log.error("%s", error if path in str(error) else f"{path}: {error}")


def features(paths: Sequence[str], config: FeaturesConfig) -> int:
    """Write one feature vector for each clip of videos into a table.

    The columns are path, start_s, end_s and feature. Takes files, patterns, folders (with all below) and `-` for a list
    of paths on standard input. A file that cannot be read is named and does not end the run; it leaves exit status 1.

    Examples:
        kinema features films/ --model runs/slow_fusion-1 --out features.parquet

        kinema features match.mp4 --model runs/slow_fusion-1 --layer blocks.1 --pool max --step 1

        find . -name '*.mp4' | kinema features - --model runs/slow_fusion-1 --json

    Args:
        paths: files, patterns, folders, or `-`.
    """
    from kinema.inference.activations import reader
    from kinema.inference.predictor import Predictor

    check_target(config.out)
    sources, unreadable = list_sources(paths)
    trained = open_trained(config.model)
    predictor = Predictor(
        *trained, engine="torch", device=config.device, precision=config.precision, batch_size=config.batch_size
    )
    reader(predictor.network, config.layer)  # a misspelt layer shows before the first video is opened
    count = _Count()
    for path, error in unreadable:
        count.fail(path, error)
    with feature_table(config.out) as table:
        _extract(predictor, sources, table, count, config)
        if not table.num_rows:
            raise VideoError("not one video could be read", config.out, "nothing was written")
    _tell(count, table.num_rows, config)
    return 1 if count.failures else 0


def _extract(
    predictor: Predictor, sources: list[str], table: FeatureTable, count: _Count, config: FeaturesConfig
) -> None:

    options = FeatureOptions(layer=config.layer, pool=config.pool, step_s=config.step, window_s=config.window)
    with TerminalProgress().count("features", len(sources) if len(sources) > 1 else 0) as advance:
        for outcome in predictor.extract(sources, options):
            if isinstance(outcome, Failure):
                count.fail(outcome.path, outcome.error)
            else:
                _keep(outcome, table, count)
            advance(1)


def _keep(film: VideoFeatures, table: FeatureTable, count: _Count) -> None:
    for spans_s, rows in film.chunks():
        table.add(film.path, spans_s, rows)
    count.num_videos, count.dim = count.num_videos + 1, film.dim
    if film.damage:
        do = "the features are of what is left; copy it again"
        count.fail(film.path, UnreadableVideo(film.damage, film.path, do))


def _tell(count: _Count, num_rows: int, config: FeaturesConfig) -> None:
    summary = {
        "out": config.out, "model": config.model, "layer": config.layer, "pool": config.pool, "dim": count.dim,
        "num_rows": num_rows, "num_videos": count.num_videos, "failures": count.failures,
    }  # fmt: skip
    if config.json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        print(f"{config.out}: {num_rows} clips of {count.num_videos} videos, {count.dim} numbers each")
