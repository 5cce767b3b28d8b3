from __future__ import annotations

import pytest

from kinema.video.tolerance import is_missing, min_missing_s


@pytest.mark.parametrize(("promised_s", "least_s"), [(2.0, 0.5), (10.0, 0.5), (60.0, 3.0)])
def test_half_a_second_or_a_twentieth_may_be_missing(promised_s: float, least_s: float) -> None:
    assert min_missing_s(promised_s) == pytest.approx(least_s)
    assert not is_missing(promised_s - 0.99 * least_s, promised_s)
    assert is_missing(promised_s - 1.01 * least_s, promised_s)


def test_a_video_that_is_longer_than_promised_misses_nothing() -> None:
    assert not is_missing(20.0, 10.0)
