"""`kinema bench` measures each network in a process of its own, and says what came of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinema.commands import bench as module
from kinema.commands.bench import BenchConfig, bench
from kinema.errors import KinemaError, OutputError, UnknownName, UsageError
from kinema.profiling.report import SpeedReport, SpeedRequest

FIGURES = {
    "engine": "torch", "device": "cpu", "precision": "f32", "clips_per_s": 100.0, "clip_p50_s": 0.011, "clip_p95_s": 0.012,
    "step_p50_s": None, "step_p95_s": None, "memory_mib": 300.0, "train_clips_per_s": None,
    "start": {"import_s": 1.0, "build_s": 0.1, "answer_s": 0.4, "total_s": 1.5},
}  # fmt: skip


@pytest.fixture
def canned(monkeypatch) -> list[SpeedRequest]:
    """The requests to the processes, which are answered at once; the machine reaches 50 and 100 GFLOP/s."""
    requested: list[SpeedRequest] = []

    def measure(request: SpeedRequest) -> SpeedReport:
        requested.append(request)
        if request.model == "slow_fusion_tiny":
            raise KinemaError("not enough memory")
        steps = {"step_p50_s": 0.004, "step_p95_s": 0.005} if request.model == "causal_small" else {}
        return SpeedReport.from_json({**FIGURES, **steps, "train_clips_per_s": 12.5 if request.train else None})

    monkeypatch.setattr(module, "measure_isolated", measure)
    monkeypatch.setattr("kinema.profiling.peaks.matrix_gflops", lambda device, name, _: {"f32": 50.0}.get(name, 100.0))
    monkeypatch.setattr("kinema.profiling.peaks.memory_gb_s", lambda *_: 10.0)
    return requested


def test_figures_follow_from_what_was_measured(canned, capsys):
    config = BenchConfig(
        models="single_frame_tiny, causal_small,single_frame_tiny", json=True, batch_size=4, seconds=1.0
    )
    assert bench(config) == 0
    found = json.loads(capsys.readouterr().out)
    first, second = found["networks"]
    assert [one.model for one in canned] == ["single_frame_tiny", "causal_small"]
    assert {(one.batch_size, one.seconds, one.engine) for one in canned} == {(4, 1.0, "auto")}
    assert first["gflops"] == pytest.approx(2 * first["macs"] * 100 / 1e9, rel=1e-3)
    assert first["share_of_peak"] == pytest.approx(first["gflops"] / 50, rel=1e-3)
    assert first["film_frames_per_s"] == pytest.approx(30 * first["times_real_time"], rel=1e-3)
    assert second["times_real_time"] == pytest.approx(60 * 100 / 59, rel=1e-3)  # a window of two seconds each second
    assert found["machine"]["peaks_gflops"] == {"f32": 50.0, "bf16": 100.0}
    assert found["film"] is None


def test_the_table_names_the_networks_and_what_is_asked_for(canned, capsys):
    assert bench(BenchConfig(models="single_frame_tiny,causal_small", train=True)) == 0
    printed = capsys.readouterr().out
    assert "f32 50 GFLOP/s, bf16 100 GFLOP/s" in printed
    assert "training clips/s" in printed
    row = next(line for line in printed.splitlines() if line.startswith("single_frame_tiny"))
    assert [word in row.split() for word in ("100.0", "11.0", "12.0", "300", "1.5", "12.5")] == [True] * 6
    assert "causal_small, frame by frame: 4.0 ms (p95 5.0) a frame" in printed


def test_a_network_that_fails_is_named_and_the_others_are_measured(canned, capsys, caplog):
    assert bench(BenchConfig(models="slow_fusion_tiny,single_frame_tiny", json=True)) == 1
    first, second = json.loads(capsys.readouterr().out)["networks"]
    assert first["error"] == "not enough memory"
    assert "clips_per_s" not in first
    assert second["clips_per_s"] == 100.0
    assert "slow_fusion_tiny: not enough memory" in caplog.text


def test_a_folder_gets_the_figures_and_a_picture(canned, tmp_path: Path, capsys):
    assert bench(BenchConfig(models="single_frame_tiny,slow_fusion_tiny", out=str(tmp_path / "out"))) == 1
    assert (tmp_path / "out/bench.png").read_bytes()[:4] == b"\x89PNG"
    assert len(json.loads((tmp_path / "out/bench.json").read_text())["networks"]) == 2
    assert "single_frame_tiny" in capsys.readouterr().out


def test_a_film_is_decoded_and_gives_its_frame_rate(canned, short_video: Path, capsys):
    assert bench(BenchConfig(models="single_frame_tiny", video=str(short_video), seconds=0.05, json=True)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["film"]["fps"] == 25.0
    assert found["film"]["decoded_frames_per_s"] > found["film"]["fps"] / 10
    assert found["film"]["shrunk_frames_per_s"] > 0
    (row,) = found["networks"]
    assert row["film_frames_per_s"] == pytest.approx(25 * row["times_real_time"], rel=1e-3)


def test_what_cannot_be_measured_is_said_before_anything_is(canned, tmp_path: Path):
    with pytest.raises(UnknownName, match="single_frame_tiny"):
        bench(BenchConfig(models="causal_small,single_frame_tinny"))
    with pytest.raises(UsageError, match="nothing to measure"):
        bench(BenchConfig(models=" , "))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        bench(BenchConfig(models="single_frame_tiny", out=str(tmp_path / "file")))
    assert canned == []
