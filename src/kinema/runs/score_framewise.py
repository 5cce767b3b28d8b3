"""Scores at each frame of labelled videos, and the classes of the frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kinema.inference.predictor import Predictor
from kinema.predictions import Failure
from kinema.processes import gather, place_among_processes
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinema.datasets.temporal_labels import TemporalLabels
    from kinema.models.network import Network
    from kinema.runs.options import ScoringOptions
    from kinema.runs.progress import Advance
    from kinema.weights.checkpoint import ModelCard


@dataclass
class ScoredFrames:
    """By path: true classes [n] and scores [n classes] of the frames, or why the video could not be read."""

    frames: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def score_frames(
    network: Network,
    card: ModelCard,
    labels: Mapping[str, TemporalLabels],
    options: ScoringOptions,
    advance: Advance = lambda count: None,
) -> ScoredFrames:
    """Score each frame of whole videos, with the same code that predicts them.

    Several processes share the videos, and each gets the whole result. The network keeps its mode and its device.

    Args:
        network: scores each frame.
        card: names its classes.
        labels: of each video, by its path.
        options: crops, device, precision and batch size.
        advance: called with the number of videos done since the last call.
    """
    rank, world = place_among_processes()
    paths = list(labels)[rank::world]
    rate = next((found.image_fps for found in labels.values()), IMAGE_FPS)
    was_training, home = network.training, next(network.parameters()).device
    found = ScoredFrames()
    try:
        predictor = Predictor(
            network, card, engine="torch", device=options.device, precision=options.precision,
            batch_size=options.batch_size,
        )  # fmt: skip
        outcomes = predictor.predict_many(paths, num_crops=options.crops, image_fps=rate)
        for path, outcome in zip(paths, outcomes, strict=True):
            if isinstance(outcome, Failure):
                found.broken[path] = str(outcome.error)
            elif outcome.timeline is not None:
                timeline = outcome.timeline
                found.frames[path] = labels[path].at(timeline.spans_s[:, 0]), timeline.raw
            advance(1)
    finally:
        network.to(home).train(was_training)
    whole = ScoredFrames()
    for part in gather(found):
        whole.frames.update(part.frames)
        whole.broken.update(part.broken)
    return whole
