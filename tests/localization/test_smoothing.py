from __future__ import annotations

import numpy as np
import pytest

from kinema.errors import ConfigError
from kinema.localization.smoothing import RollingAverage, rolling_average


@pytest.mark.parametrize("size", [1, 2, 5, 30, 200])
def test_one_by_one_and_all_at_once_agree(size: int) -> None:
    scores = np.random.default_rng(0).random((60, 4)).astype(np.float32)
    rolling = RollingAverage(size)
    np.testing.assert_allclose(rolling_average(scores, size), [rolling.add(row) for row in scores], rtol=1e-6)


def test_only_the_past_counts() -> None:
    scores = np.array([[0], [0], [6], [0], [0], [0]], dtype=np.float32)
    assert rolling_average(scores, 3)[:, 0].tolist() == [0, 0, 2, 2, 2, 0]


@pytest.mark.parametrize("make", [RollingAverage, lambda size: rolling_average(np.zeros((3, 2), np.float32), size)])
def test_nothing_to_average_is_an_error(make) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        make(0)
