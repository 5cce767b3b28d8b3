"""Threads of Python in which torch computes alone.

Where a piece of work is short, waking OpenMP's threads for each of its steps costs more than they save, the more so as they
sleep while they wait (`OMP_WAIT_POLICY`). With these, each piece is computed by one thread from its first step to its last.
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
        Exception: the first one that `compute` raised, when all threads are done.
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
    """Threads that have been told to compute alone.

    Telling one so holds for it and for all that start later, whoever starts them. Therefore they all start here, and what
    held for new threads before is then told to one that ends at once.

    Args:
        process: the one that they belong to, since a fork of it has none of them.
        threads: how many.
    """
    usual = _in_new_thread(torch.get_num_threads)
    pool = ThreadPoolExecutor(threads, "kinema", _compute_alone)
    all_started = threading.Barrier(threads)
    wait([pool.submit(all_started.wait) for _ in range(threads)])
    _in_new_thread(lambda: torch.set_num_threads(usual))
    return pool


def _compute_alone() -> None:
    torch.get_num_threads()  # in a new thread torch settles this when it is first asked, whatever it was told before
    torch.set_num_threads(1)


def _in_new_thread(act: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()
