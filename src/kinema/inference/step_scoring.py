"""Scores at each step of labelled videos, beside the classes that are shown then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import distributed

from kinema.inference.outcome import Failure
from kinema.inference.predictor import Predictor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinema.datasets.timed import TimedLabels
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network


@dataclass
class ScoredSteps:
    """By path: true classes [n] and scores [n classes] at each step, or why the video could not be read."""

    steps: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def score_steps(
    network: Network,
    card: ModelCard,
    labels: Mapping[str, TimedLabels],
    *,
    num_crops: int = 1,
    advance: Callable[[int], None] = lambda count: None,
    **options: Any,
) -> ScoredSteps:
    """Score whole videos at each step, as a user would who predicts them.

    Where several processes run, they share the videos and all get the whole. The network is left in the mode it was in.

    Args:
        network: answers at each frame.
        card: names its classes.
        labels: of each video, by its path.
        num_crops: 1 or 3, whose scores are averaged.
        advance: called with the number of videos done since the last call.
        options: device, precision and batch_size, as for `Predictor`.
    """
    shared = distributed.is_available() and distributed.is_initialized()
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if shared else (0, 1)
    was_training, home = network.training, next(network.parameters()).device
    try:
        found = _score(Predictor(network, card, **options), list(labels)[rank::world], labels, num_crops, advance)
    finally:
        network.to(home).train(was_training)
    return _joined(found, world)


def _score(
    predictor: Predictor,
    paths: Sequence[str],
    labels: Mapping[str, TimedLabels],
    num_crops: int,
    advance: Callable[[int], None],
) -> ScoredSteps:
    found = ScoredSteps()
    for path, outcome in zip(paths, predictor.predict_many(paths, num_crops=num_crops), strict=True):
        if isinstance(outcome, Failure):
            found.broken[path] = str(outcome.error)
        elif outcome.timeline is not None:
            timeline = outcome.timeline
            found.steps[path] = labels[path].at(timeline.spans_s[:, 0]), timeline.raw
        advance(1)
    return found


def _joined(found: ScoredSteps, world: int) -> ScoredSteps:
    if world == 1:
        return found
    parts: list[Any] = [None] * world
    distributed.all_gather_object(parts, found)
    whole = ScoredSteps()
    for part in parts:
        whole.steps.update(part.steps)
        whole.broken.update(part.broken)
    return whole
