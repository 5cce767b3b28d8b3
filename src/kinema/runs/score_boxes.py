"""Scores of the boxes at the key frames of labelled videos."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kinema.engines.scorer import Scorer
from kinema.errors import KinemaError
from kinema.evaluation.located.box_result import BoxVideo, join_tables
from kinema.evaluation.located.boxes import BoxTable
from kinema.inference.box_actions import box_network, score_key_frames
from kinema.processes import gather, place_among_processes
from kinema.video import open_video

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinema.datasets.located_boxes import BoxSet
    from kinema.models.network import Network
    from kinema.runs.options import ScoringOptions
    from kinema.runs.progress import Advance
    from kinema.weights.checkpoint import ModelCard


@dataclass
class BoxesOfVideos:
    """By path: the judged key frames of each video, or why it could not be read."""

    videos: dict[str, BoxVideo] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def score_boxes(
    network: Network,
    card: ModelCard,
    data: BoxSet,
    options: ScoringOptions,
    advance: Advance = lambda count: None,
) -> BoxesOfVideos:
    """Score the boxes at all key frames: the true ones, or the detected ones if the data has some.

    A detected box multiplies the scores of its labels by its own. Several processes share the videos, and each gets the whole
    result. The network keeps its mode and its device.

    Args:
        network: scores boxes.
        card: names its labels.
        data: key frames.
        options: device, precision and batch size.
        advance: called with the number of videos done since the last call.
    """
    rank, world = place_among_processes()
    by_path: defaultdict[str, list[str]] = defaultdict(list)
    for example in data.examples:
        by_path[example.path].append(example.key)
    own = BoxesOfVideos()
    with Scorer(
        box_network(network, card), task="boxes", device=options.device, precision=options.precision,
        batch_size=options.batch_size,
    ) as scorer:  # fmt: skip
        for path in list(by_path)[rank::world]:
            try:
                own.videos[path] = _score_video(scorer, card.labels, data, path, by_path[path])
            except KinemaError as error:
                own.broken[path] = str(error)
            advance(1)
    whole = BoxesOfVideos()
    for part in gather(own):
        whole.videos.update(part.videos)
        whole.broken.update(part.broken)
    return whole


def _score_video(scorer: Scorer, labels: Sequence[str], data: BoxSet, path: str, keys: Sequence[str]) -> BoxVideo:
    at_s = np.array([data.key_frames[key].time_s for key in keys])
    judged = [data.to_judge(key) for key in keys]
    true_rows, answers, losses = [], [], 0.0
    with open_video(path, image_fps=data.image_fps) as video:
        pixels = np.tile([video.info.width, video.info.height], 2)
        scored = dict(score_key_frames(scorer, video, at_s, [boxes * pixels for boxes, _, _ in judged]))
    for number, key in enumerate(keys):
        boxes, weights, targets = judged[number]
        scores = scored.get(number, np.empty((0, len(labels)), np.float32))
        losses += float(_cross_entropy(scores, targets).sum())
        answers.append(_table(key, labels, boxes, scores * weights[:, None], np.ones_like(scores, np.bool_)))
        frame = data.key_frames[key]
        truth = np.array([data.targets_of(names) for names in frame.labels]).reshape(-1, len(labels))
        true_rows.append(_table(key, labels, frame.boxes, truth, truth > 0))
    true, found = join_tables(true_rows), join_tables(answers)
    return BoxVideo(path, tuple(keys), true, found, losses, sum(len(boxes) for boxes, _, _ in judged))


def _table(
    key: str,
    labels: Sequence[str],
    boxes: NDArray[np.float64],
    scores: NDArray[np.floating],
    chosen: NDArray[np.bool_],
) -> BoxTable:
    """A row for each chosen label [n classes] of each box [n 4]."""
    rows, columns = np.nonzero(chosen)
    names = np.array(labels, dtype=np.str_)[columns]
    return BoxTable(np.full(len(rows), key), names, boxes[rows], scores[rows, columns].astype(np.float64))


def _cross_entropy(scores: NDArray[np.float32], targets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean over the labels of the binary cross-entropy of each box [n]."""
    chances = np.where(targets > 0, scores, 1 - scores.astype(np.float64))
    return -np.log(np.maximum(chances, np.finfo(np.float32).tiny)).mean(axis=1)
