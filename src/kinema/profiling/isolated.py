"""One network of `kinema bench`, measured in a process of its own: memory and start-up are then its own as well.

    python -m kinema.profiling.isolated '{"model": "slow_fusion_small", …}'

prints one line of JSON, the fields of `Measured` or {"error"}. Nothing heavy is imported before the clock is read.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kinema.choices import Engine, Precision
from kinema.engines.options import EngineOptions
from kinema.errors import KinemaError
from kinema.machine import tune_process

if TYPE_CHECKING:
    from kinema.inference.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure, and how.

    Args:
        model: see `kinema.weights.named.open_network`.
        engine: torch, openvino, winograd or auto.
        device: see `Predictor`.
        precision: see `Predictor`.
        batch_size: clips that are scored together, and that a training step learns from.
        seconds: for each figure.
        train: time training steps as well.
        only_start: time nothing but the start.
    """

    model: str
    engine: Engine = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    batch_size: int = 8
    seconds: float = 2.0
    train: bool = False
    only_start: bool = False

    def options(self) -> EngineOptions:
        """What computes the network."""
        return EngineOptions(
            engine=self.engine, device=self.device, precision=self.precision, batch_size=self.batch_size
        )


def measured_apart(asked: Asked) -> dict[str, Any]:
    """What a fresh process measures: the fields that `measured` gives, or {"error"}."""
    found = _run_apart(asked)
    if asked.engine != "torch" and "error" not in found:  # the first process may have had to convert the network
        found["start"] = _run_apart(Asked(**{**asdict(asked), "only_start": True})).get("start")
    return found


def measured(asked: Asked, began_s: float) -> dict[str, Any]:
    """Measure in this process.

    Args:
        asked: what.
        began_s: when the process was started, by `time.time`.

    Raises:
        KinemaError: the network cannot be had, or not run like this.
    """
    from kinema.inference.predictor import Predictor
    from kinema.profiling import speed
    from kinema.weights.named import open_network

    imported_s = time.time()
    network, card = open_network(asked.model)
    predictor = Predictor(network, card, asked.options())
    built_s = time.time()
    speed.first_answer(predictor)
    answered_s = time.time()
    start = {"import_s": imported_s - began_s, "build_s": built_s - imported_s, "answer_s": answered_s - built_s}
    found: dict[str, Any] = {"start": {**start, "total_s": answered_s - began_s}, **_running(predictor)}
    if not asked.only_start:
        found |= asdict(speed.measure_speed(predictor, asked.seconds))
        found["train_clips_per_s"] = _training_pace(asked) if asked.train else None
    return found


def _running(predictor: Predictor) -> dict[str, str]:
    scorer = predictor.scorer
    return {"engine": scorer.engine, "device": str(scorer.device), "precision": scorer.precision}


def _training_pace(asked: Asked) -> float:
    """Clips a second that training steps learn from, in torch, which is what trains."""
    from kinema.profiling.one_step import training_step
    from kinema.timing import median_s, times_s
    from kinema.training.options import FitOptions
    from kinema.weights.named import open_network

    options = FitOptions(batch_size=asked.batch_size, precision=asked.precision)
    step = training_step(open_network(asked.model)[0], options, asked.device)
    return asked.batch_size / median_s(times_s(step, asked.seconds))


def _run_apart(asked: Asked) -> dict[str, Any]:
    """Run this module as a program."""
    command = [sys.executable, "-m", __name__, json.dumps({**asdict(asked), "began_s": time.time()})]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": _why(ended)}


def _why(ended: subprocess.CompletedProcess[str]) -> str:
    """Why a process came to its end without an answer."""
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        return f"the process was ended by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    return next(reversed(ended.stderr.strip().splitlines()), "the process ended without a word")


def main(text: str) -> None:
    """Measure what the JSON asks for, and print the answer."""
    tune_process()
    given = json.loads(text)
    began_s = given.pop("began_s")
    try:
        found = measured(Asked(**given), began_s)
    except KinemaError as error:
        found = {"error": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
