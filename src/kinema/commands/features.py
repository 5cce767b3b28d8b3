"""`kinema features`: feature vectors of videos from a trained network, for search, clustering or another classifier."""

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
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from kinema.inference.features import VideoFeatures
    from kinema.predictions import Failure
    from kinema.runs.feature_files import FeatureTable

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Settings of a feature extraction."""

    model: str
    """A checkpoint folder, a run folder with best/ in it, or published weights by name (`kinema models --weights`)."""
    layer: str | None = None
    """A layer by the name that `kinema describe` shows; default: the input of the classifier."""
    pool: Pooling = "mean"
    """Make one vector of the maps of a layer: mean or max over space and time, or every number (none)."""
    out: str = "features.npz"
    """The table: .npz, or .parquet with the extra parquet."""
    step: float | None = None
    """Seconds between clips; default: the length of a clip, but at least half a second."""
    window: float | None = None
    """For networks that spread their frames: seconds of video in a clip."""
    image_fps: float | None = None
    """Take each folder of pictures as one video of this frame rate; without it each picture is an input of its own."""
    batch_size: int = 8
    """Clips that the network computes at once; videos share batches."""
    device: str = "auto"
    """Device of the network: auto, cpu, cuda, cuda:1."""
    precision: Precision = "auto"
    """Number format; auto is bf16 if the machine is fast at it, else f32. The table is float32."""
    json: bool = False
    """Print a summary as JSON."""

    def __post_init__(self) -> None:
        check_settings({"batch_size": self.batch_size}, 1)
        check_settings({"step": self.step, "window": self.window}, 1e-3)


@dataclass
class _Extraction:
    """Writes the features of videos into a table, and counts videos and failures."""

    table: FeatureTable
    num_videos: int = 0
    dim: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)

    def add(self, outcome: VideoFeatures | Failure) -> None:
        from kinema.predictions import Failure

        if isinstance(outcome, Failure):
            self.fail(outcome.path, outcome.error)
            return
        for spans_s, rows in outcome.chunks():
            self.table.add(outcome.path, spans_s, rows)
        self.num_videos, self.dim = self.num_videos + 1, outcome.dim
        if outcome.damage:
            do = "the features are of what is left; copy it again"
            self.fail(outcome.path, UnreadableVideo(outcome.damage, outcome.path, do))

    def fail(self, path: str, error: KinemaError) -> None:
        self.failures.append({"path": path, "error": str(error)})
        log.error("%s", error if path in str(error) else f"{path}: {error}")


def features(paths: Sequence[str], config: FeaturesConfig) -> int:
    """Write one feature vector for each clip of videos into a table.

    The columns are path, start_s, end_s and feature. Takes files, patterns, folders (with all below) and `-` for a list
    of paths on standard input. A file that cannot be read is named and does not end the run; the exit status is then 1.

    Examples:
        kinema features videos/ --model runs/slow_fusion-1 --out features.parquet

        kinema features match.mp4 --model runs/slow_fusion-1 --layer blocks.1 --pool max --step 1

        find . -name '*.mp4' | kinema features - --model runs/slow_fusion-1 --json

    Args:
        paths: files, patterns, folders, or `-`.
    """
    from kinema.inference.activations import reader
    from kinema.inference.options import FeatureOptions
    from kinema.inference.predictor import Predictor
    from kinema.runs.feature_files import check_target, feature_table

    check_target(config.out)
    sources, unreadable = list_sources(paths, frame_folders=config.image_fps is not None)
    trained = open_trained(config.model)
    predictor = Predictor(
        *trained, engine="torch", device=config.device, precision=config.precision, batch_size=config.batch_size
    )
    reader(predictor.network, config.layer)  # reports a misspelt layer before the first video is opened
    options = FeatureOptions(
        layer=config.layer,
        pool=config.pool,
        step_s=config.step,
        window_s=config.window,
        image_fps=config.image_fps or IMAGE_FPS,
    )
    with feature_table(config.out) as table:
        extraction = _Extraction(table)
        for path, error in unreadable:
            extraction.fail(path, error)
        with TerminalProgress().count("features", len(sources) if len(sources) > 1 else 0) as advance:
            for outcome in predictor.extract(sources, options):
                extraction.add(outcome)
                advance(1)
        if not table.num_rows:
            raise VideoError("not one video could be read", config.out, "nothing was written")
    summary = {
        "out": config.out, "model": config.model, "layer": config.layer, "pool": config.pool, "dim": extraction.dim,
        "num_rows": table.num_rows, "num_videos": extraction.num_videos, "failures": extraction.failures,
    }  # fmt: skip
    if config.json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        counts = f"{table.num_rows} clips of {extraction.num_videos} videos"
        print(f"{config.out}: {counts}, {extraction.dim} numbers each")
    return 1 if extraction.failures else 0
