"""Work in several processes: `process_map` starts them, `gather` joins the results of those that a launcher started.

Each process has its own pipe and shares no lock with others, so a killed process does not block the rest, and two interrupts in a
row do not hang; both happen with `concurrent.futures`.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

from kinema.errors import KinemaError
from kinema.machine import tune_process

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONTEXT = get_context("spawn")  # decoders and OpenCV do not survive a fork


def process_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """The result of `function` for each item, in the order in which they are done; without workers in this process.

    Args:
        function: must be importable in a new process; a KinemaError that it raises ends everything.
        items: given to the processes one by one.
        workers: number of processes. When the iterator is closed they are stopped by SIGTERM, which raises SystemExit in them.

    Raises:
        KinemaError: raised by `function`, or a process was killed.
    """
    if not workers:
        yield from map(function, items)
        return
    waiting = iter(items)
    running: dict[Connection, _Worker[Item, Result]] = {}
    try:
        for item in islice(waiting, workers):
            worker = _Worker(function)
            running[worker.pipe] = worker
            worker.send(item)
        while running:
            ready = connection.wait(list(running))
            for worker in [worker for pipe, worker in running.items() if pipe in ready]:
                result = worker.receive()
                if not worker.send_next(waiting):
                    del running[worker.pipe]
                yield result
    finally:
        _Worker.stop(running.values())


class _Worker(Generic[Item, Result]):
    """A process that applies a function to items, and the pipe to it."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self.pipe, other_end = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(function, other_end), daemon=True)
        self._process.start()
        other_end.close()

    def send(self, item: Item) -> None:
        with contextlib.suppress(BrokenPipeError):  # the process was killed: `receive` raises the error
            self.pipe.send(item)

    def send_next(self, items: Iterator[Item]) -> bool:
        """Sends the next item; without one, lets the process end and returns False."""
        for item in items:
            self.send(item)
            return True
        self.pipe.close()
        self._process.join()
        return False

    def receive(self) -> Result:
        try:
            result: Result | KinemaError = self.pipe.recv()
        except (EOFError, OSError) as error:
            do = "give fewer --workers if memory ran out, then run the command again: finished work is kept"
            raise KinemaError("a worker process was killed", "", do) from error
        if isinstance(result, KinemaError):
            raise result
        return result

    @staticmethod
    def stop(workers: Iterable[_Worker[Item, Result]]) -> None:
        """Stops all processes, and then waits for them."""
        processes = [worker._process for worker in workers]
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _serve(function: Callable[[Item], Result], pipe: Connection) -> None:
    """The main function of a worker process. It ignores Ctrl-C, which all processes get and the main one handles."""
    tune_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    while True:
        try:
            item: Item = pipe.recv()
        except EOFError:
            return
        try:
            result: Result | KinemaError = function(item)
        except KinemaError as error:
            result = error
        pipe.send(result)


def place_among_processes() -> tuple[int, int]:
    """The rank of this process and the number of processes of a launcher such as torchrun; (0, 1) without one."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gather(own: Result) -> list[Result]:
    """The results of all processes, in the order of their ranks; every process has to call this."""
    from torch import distributed

    _, num_processes = place_among_processes()
    results = [own] * num_processes
    if num_processes > 1:
        distributed.all_gather_object(results, own)
    return results
