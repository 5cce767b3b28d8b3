"""Whether two networks differ on the same videos."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

from kinema.evaluation import Evaluation, VideoScores, evaluate_scores
from kinema.evaluation.paired import differences, sign_flip_p
from kinema.labels import Labels


def judged(hits: list[int], groups: list[str] | None = None) -> Evaluation:
    rows, named = np.eye(2, dtype=np.float32), groups or [""] * len(hits)
    return evaluate_scores(
        [
            VideoScores(str(n), 0, rows[[1 - hit]], group)
            for n, (hit, group) in enumerate(zip(hits, named, strict=True))
        ],
        Labels(("a", "b")),
    )


def test_p_is_that_of_all_signs_counted_one_by_one():
    totals = [4, -1, 2, 2, -3, 5, 1]
    sums = [
        abs(sum(sign * total for sign, total in zip(signs, totals, strict=True)))
        for signs in product((1, -1), repeat=7)
    ]
    assert sign_flip_p(totals) == pytest.approx(np.mean([value >= abs(sum(totals)) for value in sums]))
    assert sign_flip_p([]) == sign_flip_p([1, -1]) == 1


def test_without_sources_it_is_mcnemars_exact_test():
    """Ten videos are right for the first network only, two for the second only."""
    first, second = [1] * 10 + [0] * 2 + [1] * 30, [0] * 10 + [1] * 2 + [1] * 30
    (found,) = differences(judged(first), [("second", judged(second))])
    expected = 2 * sum(comb(12, k) for k in range(3)) / 2**12
    assert (found.difference, found.num_sources) == (pytest.approx(8 / 42), 12)
    assert found.p == pytest.approx(expected)
    assert found.is_distinguishable


def test_videos_of_a_few_sources_cannot_tell_networks_apart():
    first, second, cameras = [1] * 40, [0] * 40, [str(n % 4) for n in range(40)]
    (found,) = differences(judged(first, cameras), [("second", judged(second, cameras))])
    assert (found.difference, found.p, found.is_distinguishable) == (1, 0.125, False)


def test_p_is_corrected_for_the_number_of_networks():
    best, worse = judged([1] * 20), judged([0] * 7 + [1] * 13)
    (alone,) = differences(best, [("x", worse)])
    both = differences(best, [("x", worse), ("same", best)])
    assert [one.p for one in both] == [pytest.approx(2 * alone.p), 1]
    assert differences(best, []) == []
