"""Features of an encoder for videos with located actions: kept in files, and joined with the true actions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinema.datasets.flow_cache import default_folder
from kinema.datasets.located_windows import LocatedSequence
from kinema.engines.scorer import Scorer
from kinema.inference.features import extract_many
from kinema.inference.kept_features import KeptFeatures, kept_features, network_identity
from kinema.inference.options import FeatureOptions
from kinema.machine import num_cores
from kinema.models.located.network import positions_at
from kinema.predictions import Failure
from kinema.processes import gather, place_among_processes
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.located import LocatedVideo
    from kinema.labels import Labels
    from kinema.models.located.network import SegmentNetwork
    from kinema.runs.progress import Advance

FOLDER = os.path.join(".kinema", "features")


def feature_folder(given: str | None, data: DataSet, *, make: bool) -> str | None:
    """The folder of kept features: the given one, else the default one, which is None if it is missing and not to be made."""
    default = Path(default_folder(data, FOLDER))
    return given or (str(default) if make or default.is_dir() else None)


def located_features(
    network: SegmentNetwork,
    paths: Sequence[str],
    folder: str | None,
    *,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    image_fps: float = IMAGE_FPS,
    advance: Advance = lambda count: None,
) -> Iterator[KeptFeatures | Failure]:
    """Features of the network's encoder, for videos in their order; those in the folder are not computed again.

    Every process of a launcher calls this, computes its share and then reads all of them.

    Args:
        network: in any mode.
        paths: videos.
        folder: of kept features; None keeps none.
        precision: number format of the encoder.
        device: of the encoder.
        batch_size: clips at once; None is a usual number.
        image_fps: frame rate of folders of pictures.
        advance: called with the number of videos done since the last call.
    """
    scorer = Scorer(network, device=device, precision=precision, batch_size=batch_size)
    # The name by which `kinema.inference.localizer` finds the same features.
    identity = f"{network_identity(network.encoder)}, step {network.step_s:g} s, {scorer.precision}"
    options = FeatureOptions(step_s=network.step_s, image_fps=image_fps)
    num_threads = max(min(num_cores() // 2, 4), 1)
    rank, world = place_among_processes()

    def kept(share: Sequence[str]) -> Iterator[KeptFeatures | Failure]:
        return kept_features(
            lambda missing: extract_many(scorer, missing, options, num_threads),
            share,
            identity,
            network.feature_dim,
            folder,
        )

    with scorer:
        if world > 1 and folder is not None:
            for _ in kept(paths[rank::world]):
                pass
            gather(rank)  # all are done
        for found in kept(paths):
            advance(1)
            yield found


def located_sequence(video: LocatedVideo, features: KeptFeatures, labels: Labels) -> LocatedSequence:
    """The features of a video with its actions in positions."""
    times_s = np.array([(s.span.start_s, s.span.end_s) for s in video.segments], np.float64).reshape(-1, 2)
    classes = np.array([labels.index(segment.label) for segment in video.segments], np.int64)
    return LocatedSequence(features.rows, positions_at(times_s, features.spans_s), classes)
