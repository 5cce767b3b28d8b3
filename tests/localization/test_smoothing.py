from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import ConfigError
from kinema.localization.smoothing import RollingAverage, gaussian_average, rolling_average


@pytest.mark.parametrize("size", [1, 2, 5, 30, 200])
def test_one_by_one_and_the_last_ones_of_a_video_agree(size: int) -> None:
    scores = np.random.default_rng(0).random((60, 4)).astype(np.float32)
    rolling = RollingAverage(size)
    np.testing.assert_allclose(
        rolling_average(scores, size, causal=True), [rolling.add(row) for row in scores], rtol=1e-6
    )


def test_a_live_stream_knows_only_the_past() -> None:
    scores = np.array([[0], [0], [6], [0], [0], [0]], dtype=np.float32)
    assert rolling_average(scores, 3, causal=True)[:, 0].tolist() == [0, 0, 2, 2, 2, 0]


def test_a_file_is_averaged_around_each_time() -> None:
    scores = np.array([[0], [0], [6], [0], [0], [0]], dtype=np.float32)
    assert rolling_average(scores, 3)[:, 0].tolist() == [0, 2, 2, 2, 0, 0]
    assert rolling_average(scores, 2)[:, 0].tolist() == [0, 2, 2, 2, 0, 0]
    assert rolling_average(scores[::-1], 3)[::-1].tolist() == rolling_average(scores, 3).tolist()
    ends = np.array([[8], [0], [0], [0], [4]], dtype=np.float32)
    assert rolling_average(ends, 99)[:, 0].tolist() == pytest.approx([8, 8 / 3, 12 / 5, 4 / 3, 4])


@pytest.mark.parametrize("size", [1, 5, 9, 15])
def test_borders_stay_in_a_file_and_are_late_in_a_stream(size: int) -> None:
    """One label for 40 predictions, then another for 40, with noise on every seventh."""
    first = np.repeat([0.9, 0.1], 40)
    first[::7] = 1 - first[::7]
    scores = np.stack([first, 1 - first], axis=1).astype(np.float32)
    border = {causal: change_of(rolling_average(scores, size, causal=causal)) for causal in (False, True)}
    if size > 1:
        assert abs(border[False] - 40) <= 1
        assert border[True] - 40 == pytest.approx(size / 2, abs=2)


def change_of(scores: np.ndarray) -> float:
    """The place of the border, in predictions: where the labels on both sides are wrong least often."""
    labels = scores.argmax(axis=1)
    wrong = [(labels[:place] == 1).sum() + (labels[place:] == 0).sum() for place in range(len(labels) + 1)]
    return float(np.argmin(wrong))


@pytest.mark.parametrize("make", [RollingAverage, lambda size: rolling_average(np.zeros((3, 2), np.float32), size)])
def test_nothing_to_average_is_an_error(make) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        make(0)


def test_a_gaussian_counts_seconds_not_predictions() -> None:
    """The same curve at 10 predictions a second, at 4, and at uneven times."""
    even, coarse = np.arange(0, 10, 0.1), np.arange(0, 10, 0.25)
    uneven = np.sort(np.random.default_rng(0).uniform(0, 10, 400))
    found = {}
    for name, times in (("even", even), ("coarse", coarse), ("uneven", uneven)):
        smooth = gaussian_average((times >= 5).astype(np.float32)[:, None], times, 1.0)[:, 0]
        found[name] = np.interp([2.0, 4.0, 5.0, 6.0, 9.5], times, smooth)
    assert found["coarse"] == pytest.approx(found["even"], abs=0.06)
    assert found["uneven"] == pytest.approx(found["even"], abs=0.06)
    assert found["even"][[0, 4]] == pytest.approx([0, 1], abs=0.01)


def test_a_gaussian_changes_no_constant_and_width_zero_nothing() -> None:
    scores = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    times = np.arange(20.0)
    assert np.array_equal(gaussian_average(scores, times, 0.0), scores.astype(np.float64))
    assert gaussian_average(np.ones((20, 1), np.float32), times, 3.0) == pytest.approx(np.ones((20, 1)))
    assert gaussian_average(scores[:1], times[:1], 3.0).shape == (1, 3)


def test_the_benchmark_of_borders_measures_what_it_says() -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "borders.py"
    spec = importlib.util.spec_from_file_location("borders", path)
    assert spec is not None
    borders = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(borders)
    centred, right = borders.errors(9, False, 20, 1.6)
    causal, _ = borders.errors(9, True, 20, 1.6)
    assert abs(np.median(centred)) < 0.1
    assert np.median(causal) == pytest.approx(1.0, abs=0.1)
    assert right > 0.95
