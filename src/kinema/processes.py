"""Work shared by several processes: `process_map` starts them here, `gather` joins those that a launcher started.

Each process has a pipe of its own and no lock with any other: one that is killed takes nothing down with it, and two
interrupts in a row leave nobody waiting, which `concurrent.futures` does.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from kinema.errors import KinemaError
from kinema.machine import tune_process

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONTEXT = get_context("spawn")  # what decoders and OpenCV hold does not live through a fork


def process_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """What `function` makes of each item, as it comes; in this process where there are no workers.

    Args:
        function: known by name to a fresh process; a KinemaError that it raises ends the whole.
        items: handed out one by one.
        workers: number of processes; they are stopped when the iterator is closed, by SIGTERM, which raises SystemExit.

    Raises:
        KinemaError: raised by `function`, or a process was killed.
    """
    if not workers:
        yield from map(function, items)
        return
    waiting = iter(items)
    crew: dict[Connection, BaseProcess] = {}
    try:
        for item in islice(waiting, workers):
            pipe, process = _started(function)
            crew[pipe] = process
            _send(pipe, item)
        while crew:
            ready = connection.wait(list(crew))
            for pipe in [pipe for pipe in crew if pipe in ready]:
                result = _received(pipe)
                _hand_out(waiting, pipe, crew)
                yield result
    finally:
        for process in crew.values():
            process.terminate()
        for process in crew.values():
            process.join()


def _started(function: Callable[[Any], Any]) -> tuple[Connection, BaseProcess]:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_serve, args=(function, theirs), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _send(pipe: Connection, item: Any) -> None:
    with contextlib.suppress(BrokenPipeError):  # told when its answer is waited for
        pipe.send(item)


def _received(pipe: Connection) -> Any:
    try:
        result = pipe.recv()
    except (EOFError, OSError) as error:
        do = "give fewer --workers if memory ran out, then the command again: what is done is kept"
        raise KinemaError("a worker process was killed", "", do) from error
    if isinstance(result, KinemaError):
        raise result
    return result


def _hand_out(waiting: Iterator[Any], pipe: Connection, crew: dict[Connection, BaseProcess]) -> None:
    """Give a process its next item, or let it go."""
    for item in waiting:
        _send(pipe, item)
        return
    pipe.close()
    crew.pop(pipe).join()


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """What a process does: Ctrl-C, which goes to all of them, is for the first one to act upon."""
    tune_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            result = function(item)
        except KinemaError as error:
            result = error
        pipe.send(result)


def place_among_processes() -> tuple[int, int]:
    """The rank of this process and how many a launcher such as torchrun started; (0, 1) without one."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gather(own: Result) -> list[Result]:
    """What every process found, in the order of their ranks; all of them have to call this."""
    from torch import distributed

    _, world = place_among_processes()
    if world == 1:
        return [own]
    parts: list[Any] = [None] * world
    distributed.all_gather_object(parts, own)
    return parts
