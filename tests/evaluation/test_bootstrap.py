from __future__ import annotations

import numpy as np
import pytest

from kinema.evaluation import bootstrap
from kinema.evaluation.bootstrap import intervals


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    hits = np.repeat([1.0, 0.0], [80, 20])
    low, high = intervals(mean_of(hits), range(100), num_draws=4000)["mean"]
    assert low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.015)
    assert high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.015)


def test_same_seed_same_interval_other_seed_another() -> None:
    values = np.random.default_rng(0).random(50)
    assert intervals(mean_of(values), range(50), seed=1) == intervals(mean_of(values), range(50), seed=1)
    assert intervals(mean_of(values), range(50), seed=1) != intervals(mean_of(values), range(50), seed=2)


def test_every_draw_has_as_many_videos_as_there_are(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "_MAX_WEIGHTS", 70)  # 10 draws at a time
    seen = []

    def figures(weights):
        seen.append(weights)
        return {"sum": weights.sum(axis=1).astype(float)}

    assert intervals(figures, range(7), num_draws=25)["sum"] == (7, 7)
    assert [len(weights) for weights in seen] == [10, 10, 5]


def test_what_comes_from_one_video_is_drawn_together() -> None:
    films, hits = np.repeat(np.arange(8), 50), np.repeat([1.0, 0.0] * 4, 50)
    low, high = intervals(mean_of(hits), [f"{film}.mp4" for film in films], num_draws=4000)["mean"]
    assert (low, high) == intervals(mean_of(hits[::50]), range(8), num_draws=4000)["mean"]
    assert high - low > 0.5


def test_of_one_video_alone_its_spans_are_drawn() -> None:
    low, high = intervals(mean_of(np.repeat([1.0, 0.0], 20)), ["film.mp4"] * 40)["mean"]
    assert high - low > 0.2


@pytest.mark.parametrize(("right", "expected"), [(1.0, (0.8316, 1.0)), (0.0, (0.0, 0.1684))])
def test_twenty_of_twenty_do_not_make_certain(right: float, expected: tuple[float, float]) -> None:
    """Clopper and Pearson's bounds for 20 of 20 and 0 of 20, as in their tables."""
    found = intervals(lambda weights: {"hit": (weights * right).sum(1) / weights.sum(1)}, range(20))["hit"]
    assert found == pytest.approx(expected, abs=1e-4)
