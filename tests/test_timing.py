"""Times are warmed up and repeated; a source is read until the time is over."""

from __future__ import annotations

from kinema.timing import items_per_s, times_s


class Clock:
    """Time goes on when something happens."""

    def __init__(self) -> None:
        self.now_s, self.calls = 0.0, 0

    def __call__(self) -> float:
        return self.now_s

    def work(self) -> None:
        self.calls += 1
        self.now_s += 10.0 if self.calls == 1 else 0.5  # the first time takes longer


def test_the_first_calls_do_not_count():
    clock = Clock()
    assert times_s(clock.work, 3.0, clock) == [0.5] * 6
    assert clock.calls == 8


def test_there_are_five_times_at_least():
    clock = Clock()
    assert len(times_s(clock.work, 0.0, clock)) == 5


def test_a_source_is_read_again_until_the_time_is_over():
    clock = Clock()
    clock.calls = 1
    opened = []

    def three():
        opened.append(clock.now_s)
        for _ in range(3):
            clock.work()
            yield None

    assert items_per_s(three, 4.0, clock) == 2.0
    assert opened == [0.0, 1.5, 3.0]
    assert items_per_s(lambda: [], 4.0, clock) == 0.0
