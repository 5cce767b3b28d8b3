"""Measure a network of `kinema bench` in a process of its own, so that memory and start-up times are those of the network.

    python -m kinema.profiling.isolated '{"model": "slow_fusion_small", …}'

prints one line of JSON: a `SpeedReport`, `{"start": StartTimes}`, or `{"error": message}`. Nothing heavy is imported before
the clock is read.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from typing import Any

from kinema.errors import KinemaError
from kinema.machine import tune_process
from kinema.profiling.report import SpeedReport, SpeedRequest, StartTimes


def measure_isolated(request: SpeedRequest) -> SpeedReport:
    """Measure a network in a new process.

    Raises:
        KinemaError: the network cannot be opened or run like this, or the process died.
    """
    report = SpeedReport.from_json(_run(request))
    if request.engine == "torch":
        return report
    # The first process may have converted the network, which is done once: measure the start of a second process.
    return replace(report, start=StartTimes(**_run(replace(request, only_start=True))["start"]))


def _run(request: SpeedRequest) -> dict[str, Any]:
    """Run this module as a program and return the JSON that it prints."""
    command = [sys.executable, "-m", __name__, json.dumps({**asdict(request), "began_s": time.time()})]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        reason = next(reversed(ended.stderr.strip().splitlines()), "the process ended without a message")
        if ended.returncode < 0:
            name = signal.Signals(-ended.returncode).name
            reason = f"the process was ended by {name}"
            reason += ", perhaps for want of memory" if name == "SIGKILL" else ""
        raise KinemaError(reason) from None
    if "error" in found:
        raise KinemaError(found["error"])
    return found


def measure(request: SpeedRequest, began_s: float) -> SpeedReport | StartTimes:
    """Measure a network in this process; only its start, if that is requested.

    Args:
        request: what to measure.
        began_s: when the process was started, by `time.time`.

    Raises:
        KinemaError: the network cannot be opened, or not run like this.
    """
    from kinema.inference.predictor import Predictor
    from kinema.profiling import speed
    from kinema.weights.named import open_network

    imported_s = time.time()
    network, card = open_network(request.model)
    predictor = Predictor(network, card, request.engine_options())
    built_s = time.time()
    speed.score_first_clip(predictor)
    answered_s = time.time()
    start = StartTimes(imported_s - began_s, built_s - imported_s, answered_s - built_s, answered_s - began_s)
    if request.only_start:
        return start
    scorer, measured = predictor.scorer, speed.measure_speed(predictor, request.seconds)
    trained = None
    if request.train:
        from kinema.profiling.one_step import train_clips_per_s  # not part of the start of a program that scores

        trained = train_clips_per_s(request)
    return SpeedReport(start, scorer.engine, str(scorer.device), scorer.precision, measured, trained)


def main(text: str) -> None:
    """Measure what the JSON requests, and print the result."""
    tune_process()
    values = json.loads(text)
    began_s = values.pop("began_s")
    try:
        measured = measure(SpeedRequest(**values), began_s)
    except KinemaError as error:
        print(json.dumps({"error": str(error)}))
        return
    found = {"start": asdict(measured)} if isinstance(measured, StartTimes) else measured.to_json()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
