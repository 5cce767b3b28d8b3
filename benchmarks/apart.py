"""The other side of a benchmark in a process of its own, which never sees kinema: torch and its threads as they come.

kinema sets how OpenMP's threads wait and how freed memory is kept; what it is compared with should have neither.

    python benchmarks/apart.py THREADS        reads lines: a file to load, then "run" again and again
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


class Apart:
    """A module of torch and what it is called with, in a new process. As a context manager it ends with the block.

    Args:
        module: can be pickled, like all that it is called with.
        given: a tensor, or a list of them.
        threads: of torch.
    """

    def __init__(self, module: Any, given: Any, threads: int) -> None:
        import torch

        environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
        command = [sys.executable, "-W", "ignore", __file__, str(threads)]
        self._process: Any = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "module.pt"
            torch.save((module, given), file)
            self._ask(str(file))

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self) -> tuple[float, float]:
        """Call the module once; seconds on the clock and of all cores."""
        wall, used = self._ask("run").split()
        return float(wall), float(used)

    def _ask(self, line: str) -> str:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def main() -> None:
    import torch

    torch.set_num_threads(int(sys.argv[1]))
    module, given = torch.load(sys.stdin.readline().strip(), weights_only=False)
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, used = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            module(list(given) if isinstance(given, list) else given)  # SlowFast writes into its list
        print(time.perf_counter() - wall, time.process_time() - used, flush=True)


if __name__ == "__main__":
    main()
