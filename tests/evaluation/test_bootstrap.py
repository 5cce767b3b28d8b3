from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from kinema.evaluation import bootstrap
from kinema.evaluation.bootstrap import intervals


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    hits = np.repeat([1.0, 0.0], [80, 20])
    low, high, method = intervals(mean_of(hits), range(100), num_draws=4000)["mean"]
    assert method == "bootstrap by video"
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

    assert intervals(figures, range(7), num_draws=25)["sum"][:2] == (7, 7)
    assert [len(weights) for weights in seen] == [10, 10, 5]


def test_what_comes_from_one_video_is_drawn_together() -> None:
    films, hits = np.repeat(np.arange(12), 50), np.repeat([1.0, 0.0] * 6, 50)
    low, high, method = intervals(mean_of(hits), [f"{film}.mp4" for film in films], num_draws=4000)["mean"]
    assert (low, high) == intervals(mean_of(hits[::50]), range(12), num_draws=4000)["mean"][:2]
    assert (high - low > 0.4, method) == (True, "bootstrap by source")


def test_of_one_video_alone_its_spans_are_drawn() -> None:
    low, high, method = intervals(mean_of(np.repeat([1.0, 0.0], 20)), ["film.mp4"] * 40)["mean"]
    assert (high - low > 0.2, method) == (True, "bootstrap by video")


def test_of_few_sources_the_wider_interval_counts() -> None:
    """57 of 58 over two cameras: drawn by camera, the interval would be narrower than the same videos one by one give."""
    hits = np.ones(58)
    hits[0] = 0
    cameras = [index % 2 for index in range(58)]
    assert intervals(mean_of(hits), cameras)["mean"] == intervals(mean_of(hits), range(58))["mean"]
    many = [index % 10 for index in range(58)]
    assert intervals(mean_of(hits), many)["mean"].method == "bootstrap by source"


def test_of_few_unlike_sources_the_interval_by_source_counts() -> None:
    hits = np.repeat([1.0, 0.0, 1.0], 30)
    found = intervals(mean_of(hits), np.repeat([0, 1, 2], 30).tolist())["mean"]
    assert found == (0, 1, "bootstrap by source")


@pytest.mark.parametrize(("right", "expected"), [(1.0, (0.8316, 1.0)), (0.0, (0.0, 0.1684))])
def test_twenty_of_twenty_do_not_make_certain(right: float, expected: tuple[float, float]) -> None:
    """Clopper and Pearson's bounds for 20 of 20 and 0 of 20, as in their tables."""
    low, high, method = intervals(lambda weights: {"hit": (weights * right).sum(1) / weights.sum(1)}, range(20))["hit"]
    assert (low, high) == pytest.approx(expected, abs=1e-4)
    assert method == "Clopper-Pearson by video"


@pytest.fixture(scope="module")
def coverage_benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"
    spec = importlib.util.spec_from_file_location("interval_coverage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_printed_intervals_hold_the_truth_more_often_than_those_by_source_if_there_are_few(coverage_benchmark) -> None:
    """A small version of the table in docs/explained/numbers.md."""
    few, many = (coverage_benchmark.coverage(n, 0.05, num_sets=120, num_draws=200) for n in (2, 30))
    assert few["by source"] < 0.7
    assert few["printed"] >= few["by source"] + 0.1
    assert few["printed"] >= few["by video"]
    assert many["printed"] == many["by source"] > 0.87
    assert many["by video"] < many["by source"]
