"""Times of live frames follow timestamps that can be believed, and arrival otherwise."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

import pytest

from kinema.video.stream_clock import FileClock, LiveClock

BASE = Fraction(1, 90000)


@dataclass
class Picture:
    """The two fields of a decoded frame that a clock reads."""

    pts: int | None
    time_base: Fraction | None = BASE


def picture(stated_s: float | None) -> Picture:
    return Picture(None if stated_s is None else round(stated_s * 90000))


def times_of(stated_s: list[float | None], arrived_s: list[float], clock: LiveClock | None = None) -> list[float]:
    clock = clock or LiveClock(has_timestamps=True)
    return [clock.time_of(picture(s), 1000 + a) for s, a in zip(stated_s, arrived_s, strict=True)]


def test_timestamps_are_used_while_frames_arrive_in_bursts() -> None:
    """Segments of 2 s, each at once, and a jitter: frames are 0.04 s apart."""
    stated_s = [7e4 + index / 25 for index in range(1500)]
    arrived_s = sorted(2 * (index // 50) + random.Random(index).random() * 0.1 for index in range(1500))
    clock = LiveClock(has_timestamps=True)
    found = times_of([*stated_s], arrived_s, clock)
    assert found == pytest.approx([index / 25 for index in range(1500)], abs=1e-3)
    assert not clock.by_arrival


def test_a_backlog_at_once_keeps_its_distances() -> None:
    arrived_s = [0.0] * 150 + [index / 25 for index in range(1, 600)]
    clock = LiveClock(has_timestamps=True)
    found = times_of([index / 25 for index in range(749)], arrived_s, clock)
    assert found == pytest.approx([index / 25 for index in range(749)], abs=1e-3)
    assert not clock.by_arrival


@pytest.mark.parametrize("rate", [0.5, 1.6])
def test_timestamps_at_another_rate_give_way_to_arrival(rate: float) -> None:
    arrived_s = [index / 25 for index in range(750)]
    found = times_of([rate * a for a in arrived_s], arrived_s)
    assert found[20] == pytest.approx(rate * arrived_s[20], abs=1e-3)
    assert found[-1] - found[-251] == pytest.approx(10.0, abs=1e-3)


def test_a_clock_that_runs_a_little_fast_is_believed() -> None:
    clock = LiveClock(has_timestamps=True)
    times_of([1.01 * index / 25 for index in range(1500)], [index / 25 for index in range(1500)], clock)
    assert not clock.by_arrival


def test_missing_and_frozen_timestamps_are_replaced_by_arrival() -> None:
    arrived_s = [index / 10 for index in range(30)]
    assert times_of([None] * 30, arrived_s) == pytest.approx(arrived_s)
    assert times_of([5.0] * 30, arrived_s) == pytest.approx(arrived_s)
    counted = LiveClock(has_timestamps=False)
    assert times_of([index / 25 for index in range(30)], arrived_s, counted) == pytest.approx(arrived_s)


@pytest.mark.parametrize("jump_s", [-(2**33) / 90000, -3.0, 11.0, 1e6])
def test_a_jump_of_timestamps_takes_as_long_as_its_frames_were_apart(jump_s: float) -> None:
    arrived_s = [index / 25 for index in range(100)]
    stated_s = [2**33 / 90000 + a + (jump_s if a >= 2 else 0) for a in arrived_s]
    assert times_of([*stated_s], arrived_s) == pytest.approx(arrived_s, abs=1e-3)


def test_another_connection_goes_on_by_arrival() -> None:
    clock = LiveClock(has_timestamps=True)
    times_of([5.0, 5.04], [0.0, 0.04], clock)
    clock.restart(has_timestamps=True)
    assert times_of([5.1, 5.14], [3.0, 3.01], clock) == pytest.approx([3.0, 3.04])


def test_a_file_without_timestamps_is_counted_and_jumps_are_one_frame() -> None:
    clock = FileClock(0.04)
    found = [clock.time_of(picture(s)) for s in (3.0, 3.04, None, 3.12, 99.0, 99.04, 0.0)]
    assert found == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24], abs=1e-3)
    assert clock.seconds_early(100.0) == pytest.approx(100.0, abs=1.0)
