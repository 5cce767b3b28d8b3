"""The reference of `forward.py` in a process of its own that never imports kinema.

kinema can change how OpenMP's threads wait and how freed memory is kept. A reference that it is compared with must have
neither setting, so it runs in a separate process with torch's defaults.

    python benchmarks/isolated.py NAME THREADS        reads lines: a file to load, then "run" again and again
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any


def build_reference(name: str, num_classes: int) -> Any:
    """Build a network of torchvision or PyTorchVideo with their own code."""
    if name not in ("slowfast_r50", "x3d_m"):
        import torchvision

        return torchvision.models.get_model(name, num_classes=num_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorchvideo.models.slowfast import create_slowfast
        from pytorchvideo.models.x3d import create_x3d
    if name == "x3d_m":
        return create_x3d(input_clip_length=16, input_crop_size=224, model_num_class=num_classes, head_activation=None)
    return create_slowfast(
        model_depth=50, slowfast_fusion_conv_kernel_size=(7, 1, 1), model_num_class=num_classes, head_activation=None
    )


class Isolated:
    """A reference network and its input in a new process, which ends with the `with` block.

    Args:
        name: name of the reference.
        module: network with its weights.
        given: input of the network, a tensor or a list of tensors.
        threads: number of torch threads.
    """

    def __init__(self, name: str, module: Any, given: Any, threads: int) -> None:
        import torch

        environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
        command = [sys.executable, "-W", "ignore", __file__, name, str(threads)]
        self._process: Any = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "weights.pt"
            torch.save((module.state_dict(), given), file)
            self._ask(str(file))

    def __enter__(self) -> Isolated:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self) -> tuple[float, float]:
        """Run the network once. Returns wall-clock seconds and processor seconds of all cores."""
        wall, used = self._ask("run").split()
        return float(wall), float(used)

    def _ask(self, line: str) -> str:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def main() -> None:
    if len(sys.argv) < 3:
        print(__doc__)
        return
    import torch

    torch.set_num_threads(int(sys.argv[2]))
    weights, given = torch.load(sys.stdin.readline().strip())
    module = build_reference(sys.argv[1], len(weights[next(reversed(weights))])).eval()
    module.load_state_dict(weights)
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, used = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            module(list(given) if isinstance(given, list) else given)  # SlowFast writes into its list
        print(time.perf_counter() - wall, time.process_time() - used, flush=True)


if __name__ == "__main__":
    main()
