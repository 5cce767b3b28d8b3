"""Whether two networks differ on the same videos: the exact sign-flip test of paired differences (Fisher 1935), by source.

If two networks were equally good, each source would be as likely to favour one as the other. The test counts how many of all
2^n choices of signs give a total difference at least as large as the observed one. If each video is a source of its own, this is
McNemar's exact test (1947). With fewer than six sources that differ, no result is below 0.05.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kinema.evaluation.result import Evaluation
    from kinema.evaluation.scores import VideoScores

LEVEL = 0.05
TEST = "exact sign-flip test of paired differences by source, Holm-corrected"


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better the best network is than `network` in video hit@1, and how likely that is by chance alone.

    `p` is corrected for the number of networks (Holm 1979). `num_sources` counts the sources on which the two differ.
    """

    network: str
    difference: float
    p: float
    num_sources: int

    @property
    def is_distinguishable(self) -> bool:
        """Whether p is below 0.05."""
        return self.p < LEVEL

    def to_json(self) -> dict[str, object]:
        """A plain dictionary."""
        return {
            "network": self.network,
            "difference": round(self.difference, 6),
            "p": round(self.p, 6),
            "num_differing_sources": self.num_sources,
            "distinguishable": self.is_distinguishable,
        }


def differences(best: Evaluation, others: Sequence[tuple[str, Evaluation]]) -> list[Difference]:
    """Compare the best network with each other one on the videos that both have scored."""
    found = [(name, *_paired(best.videos, other.videos)) for name, other in others]
    order = sorted(range(len(found)), key=lambda place: found[place][2])
    corrected, least = [1.0] * len(found), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(found) - rank) * found[place][2]))
        corrected[place] = least
    return [Difference(name, mean, p, number) for (name, mean, _, number), p in zip(found, corrected, strict=True)]


def _paired(first: Sequence[VideoScores], second: Sequence[VideoScores]) -> tuple[float, float, int]:
    """Mean difference of hit@1, p, and the number of sources that differ."""
    hits = {video.key: _hit(video) for video in second}
    common = [video for video in first if video.key in hits]
    by_source: Counter[str] = Counter()
    for video in common:
        by_source[video.group or video.key] += _hit(video) - hits[video.key]
    totals = [total for total in by_source.values() if total]
    return sum(totals) / max(len(common), 1), sign_flip_p(totals), len(totals)


def _hit(video: VideoScores) -> int:
    return int(int(video.video.argmax()) in video.targets)


def sign_flip_p(totals: Sequence[int]) -> float:
    """The two-sided p of totals whose signs are equally likely; 1 without any.

    >>> sign_flip_p([1, 1, 1, 1, 1, 1]), sign_flip_p([3, 1, -1])
    (0.03125, 0.5)
    """
    reach = sum(map(abs, totals))
    odds = np.zeros(2 * reach + 1)  # odds[reach + s]: that the flipped totals add up to s
    odds[reach] = 1
    for total in totals:
        odds = (np.roll(odds, total) + np.roll(odds, -total)) / 2
    sums = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(odds[sums >= abs(sum(totals))].sum()))
