"""A network is measured in a process of its own; what goes wrong there is an error here."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from kinema import models
from kinema.errors import KinemaError
from kinema.profiling import isolated
from kinema.profiling.isolated import measure_isolated
from kinema.profiling.report import SpeedRequest
from kinema.weights.checkpoint import ModelCard, save_checkpoint

START = {"import_s": 1.0, "build_s": 0.1, "answer_s": 0.4}
FIGURES = {
    "engine": "openvino", "device": "cpu", "precision": "f32", "clips_per_s": 100.0, "clip_p50_s": 0.011,
    "clip_p95_s": 0.012, "step_p50_s": None, "step_p95_s": None, "memory_mib": 300.0, "train_clips_per_s": None,
}  # fmt: skip


def test_a_fresh_process_measures_a_checkpoint(tmp_path: Path):
    network = models.build("single_frame_tiny", num_classes=2, spec={"size": (24, 24)})
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("dark", "light")))
    report = measure_isolated(
        SpeedRequest(
            str(tmp_path), engine="torch", device="cpu", precision="f32", batch_size=2, seconds=0.01, train=True
        )
    )
    assert set(report.to_json()) == {"start", *FIGURES}
    assert (report.engine, report.device, report.precision) == ("torch", "cpu", "f32")
    start = report.start
    assert start.total_s == pytest.approx(start.import_s + start.build_s + start.answer_s)
    assert report.speed.clips_per_s > 0
    assert report.train_clips_per_s is not None
    assert report.train_clips_per_s > 0


def test_an_error_in_the_process_is_raised_here(tmp_path: Path):
    with pytest.raises(KinemaError, match="no such checkpoint folder"):
        measure_isolated(SpeedRequest(str(tmp_path / "gone")))


def test_a_killed_process_is_an_error_with_the_signal(monkeypatch):
    killed: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], -9, stdout="", stderr="")
    monkeypatch.setattr(isolated.subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(KinemaError, match="SIGKILL, perhaps for want of memory"):
        measure_isolated(SpeedRequest("single_frame_tiny"))


@pytest.mark.parametrize(("stderr", "reason"), [("warning\nlast line\n", "last line"), ("", "without a message")])
def test_a_process_without_an_answer_is_an_error_with_its_last_line(stderr: str, reason: str, monkeypatch):
    ended: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], 1, stdout="no JSON", stderr=stderr)
    monkeypatch.setattr(isolated.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(KinemaError, match=reason):
        measure_isolated(SpeedRequest("single_frame_tiny"))


def test_another_engine_is_started_twice_because_it_converts_at_first(monkeypatch):
    only_start: list[bool] = []

    def run(request: SpeedRequest) -> dict[str, object]:
        only_start.append(request.only_start)
        start = {"start": {**START, "total_s": 9.0 if len(only_start) == 1 else 2.0}}
        return start if request.only_start else {**start, **FIGURES}

    monkeypatch.setattr(isolated, "_run", run)
    report = measure_isolated(SpeedRequest("single_frame_tiny", engine="openvino"))
    assert report.start.total_s == 2.0
    assert only_start == [False, True]
    assert asdict(report.speed)["clips_per_s"] == 100.0
    assert measure_isolated(SpeedRequest("single_frame_tiny", engine="torch")).start.total_s == 2.0
    assert only_start == [False, True, False]
