from __future__ import annotations

import numpy as np
import pytest

from kinema.errors import ConfigError
from kinema.localization.smoothing import RollingAverage, rolling_average


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
