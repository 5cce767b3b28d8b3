"""Evaluation protocols (the views that are averaged for a video), and ensembles of networks.

A view is one clip x one crop. "1x1" is one centre clip and crop, "10x3" ten clips with three crops each, 30 views
(Feichtenhofer et al. 2019); Karpathy et al. 2014 averaged 20 random clips with 4 crops each. Figures of different
protocols must not be compared, so every evaluation names its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import ConfigError, DataError
from kinema.evaluation.scores import VideoScores

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Protocol:
    """Clips x crops; with `flips` every view is mirrored as well.

    >>> Protocol(10, 3).name, Protocol.parse("10x3").num_views
    ('10x3', 30)
    """

    num_clips: int = 1
    num_crops: int = 1
    flips: bool = False

    def __post_init__(self) -> None:
        if self.num_clips < 1 or self.num_crops not in (1, 3):
            raise ConfigError("views must be 1 or more clips with 1 or 3 crops", f"{self.num_clips}x{self.num_crops}")

    @property
    def name(self) -> str:
        """The protocol as text, such as "10x3" or "10x3 flipped"."""
        return f"{self.num_clips}x{self.num_crops}" + (" flipped" if self.flips else "")

    @property
    def num_views(self) -> int:
        """Number of views of a video."""
        return self.num_clips * self.num_crops * (2 if self.flips else 1)

    @classmethod
    def parse(cls, name: str) -> Protocol:
        """The inverse of `name`.

        Raises:
            ConfigError: not of the form "10x3" or "10x3 flipped".
        """
        match = re.fullmatch(r"(\d+)x(\d+)( flipped)?", name)
        if match is None:
            raise ConfigError("not a protocol", repr(name), 'write clips x crops, such as "1x1" or "10x3"')
        return cls(int(match[1]), int(match[2]), bool(match[3]))


def average_networks(runs: Sequence[Sequence[VideoScores]], weights: Sequence[float] = ()) -> list[VideoScores]:
    """Average the scores of several networks on the same videos (the last row of Karpathy et al. 2014).

    Networks with equal numbers of views are averaged view by view, others by their means over views. Only videos that every
    network has scored are kept, in the order of the first network.

    Args:
        runs: the scores of each network.
        weights: one for each network; empty weighs all equally.

    Raises:
        ConfigError: another number of weights than networks.
        DataError: no common video, or networks with other classes or targets.
    """
    if weights and len(weights) != len(runs):
        counts = f"{len(weights)} weights, {len(runs)} networks"
        raise ConfigError("an average needs one weight for each network", counts)
    tables = [{video.key: video for video in run} for run in runs]
    keys = [key for key in tables[0] if all(key in table for table in tables)] if tables else []
    if not keys:
        raise DataError("the networks have no video in common", do="score them on the same data")
    share = np.asarray(weights or [1.0] * len(runs), dtype=np.float64)
    return [_average_video([table[key] for table in tables], share / share.sum()) for key in keys]


def _average_video(videos: Sequence[VideoScores], share: NDArray[np.float64]) -> VideoScores:
    first = videos[0]
    if any(set(v.targets) != set(first.targets) or v.scores.shape[1] != first.scores.shape[1] for v in videos):
        raise DataError("the networks do not agree on the classes", first.key, "train them on the same data")
    same_views = all(video.scores.shape == first.scores.shape for video in videos)
    rows = [video.scores if same_views else video.video[None] for video in videos]
    mean = np.tensordot(share, np.stack(rows), axes=1).astype(np.float32)
    return VideoScores(first.key, first.target, mean, first.group)
