from __future__ import annotations

import numpy as np
import pytest

from kinema.evaluation import bootstrap
from kinema.evaluation.bootstrap import intervals


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    hits = np.repeat([1.0, 0.0], [80, 20])
    low, high = intervals(mean_of(hits), 100, num_draws=4000)["mean"]
    assert low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.015)
    assert high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.015)


def test_same_seed_same_interval_other_seed_another() -> None:
    values = np.random.default_rng(0).random(50)
    assert intervals(mean_of(values), 50, seed=1) == intervals(mean_of(values), 50, seed=1)
    assert intervals(mean_of(values), 50, seed=1) != intervals(mean_of(values), 50, seed=2)


def test_every_draw_has_as_many_videos_as_there_are(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "_CELLS", 70)  # 10 draws at a time
    seen = []

    def figures(weights):
        seen.append(weights)
        return {"sum": weights.sum(axis=1).astype(float)}

    assert intervals(figures, 7, num_draws=25)["sum"] == (7, 7)
    assert [len(weights) for weights in seen] == [10, 10, 5]
