"""Threads in each of which torch computes with one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from kinema.engines.winograd import threads as workers

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(params=[1, 2, 3])
def threads(request) -> Iterator[int]:
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(usual)


def test_workers_leave_other_threads_as_many_of_torch_as_before(threads: int):
    seen: list[int] = []

    def fresh() -> int:
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return seen.pop()

    before = fresh()
    workers._pool.cache_clear()
    workers.share_out(lambda piece: seen.append(torch.get_num_threads()), range(50))
    assert seen == [1] * 50
    seen.clear()
    assert torch.get_num_threads() == threads
    assert fresh() == before


def test_an_error_in_a_thread_is_raised(threads: int):
    def work(piece: int) -> None:
        if piece == 7:
            raise IndexError("the seventh")

    with pytest.raises(IndexError, match="the seventh"):
        workers.share_out(work, range(20))
