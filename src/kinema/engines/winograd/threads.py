"""Run pieces of work in Python threads, in each of which torch computes with one thread.

For short pieces of work, waking OpenMP's threads at every operation costs more than they save, even more if they sleep while
they wait (`OMP_WAIT_POLICY`). Here, one thread computes all operations of a piece.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")
_starting = threading.Lock()


def share_out(compute: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
    """Compute all pieces, without gradients, in as many threads as torch would use here.

    Raises:
        Exception: the first error of `compute`, when all threads have ended.
    """
    waiting, threads = deque(pieces), torch.get_num_threads()
    if threads == 1:
        _work_off(compute, waiting)
        return
    with _starting:
        pool = _pool(os.getpid(), threads)
    shares = [pool.submit(_work_off, compute, waiting) for _ in range(min(threads, len(waiting)))]
    wait(shares)
    for share in shares:
        share.result()


@torch.inference_mode()
def _work_off(compute: Callable[[Piece], None], waiting: deque[Piece]) -> None:
    while True:
        try:
            piece = waiting.popleft()
        except IndexError:
            return
        compute(piece)


@functools.cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads in each of which torch computes with one thread.

    `torch.set_num_threads` in one thread also sets the number for all threads that start later. So all threads of the pool
    start here, and then a thread that ends at once restores the previous number for new threads. The id of the process is
    part of the cache key, because a forked process has none of the threads.
    """

    def compute_alone() -> None:
        torch.get_num_threads()  # the first call in a thread fixes its number, so it must come before set_num_threads
        torch.set_num_threads(1)

    usual = _in_new_thread(torch.get_num_threads)
    pool = ThreadPoolExecutor(threads, "kinema", compute_alone)
    all_started = threading.Barrier(threads)
    wait([pool.submit(all_started.wait) for _ in range(threads)])
    _in_new_thread(lambda: torch.set_num_threads(usual))
    return pool


def _in_new_thread(act: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()
