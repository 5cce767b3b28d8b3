"""`kinema watch`: predictions, counts and the summary of files and cameras."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from kinema import cli
from kinema.commands.watch import WatchConfig, watch
from kinema.errors import UnreadableVideo


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    folder = tmp_path_factory.mktemp("run") / "best"
    network = models.build("single_frame_tiny", num_classes=2)
    save_checkpoint(folder, network, ModelCard.of(network, ("dark", "light")))
    return str(folder)


def test_a_file_is_watched_as_if_it_were_live(checkpoint, short_video: Path, capsys) -> None:
    assert watch(str(short_video), WatchConfig(model=checkpoint, device="cpu", json=True)) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert lines
    shares = {"latency_p50_s", "latency_p95_s", "latency_p99_s"}
    counts = {"watched_s", "received", "reconnections", "predictions"}
    assert set(lines[0]) == {"time_s", "top", "latency_s", *shares, *counts, "predictions_per_s", "dropped"}
    assert f"5 frames received, 0 reconnections, {len(lines)} predictions" in printed.err
    assert ", latency p50 " in printed.err


def test_a_network_that_goes_frame_by_frame_stays_in_torch_and_says_so(tmp_path, short_video: Path, caplog) -> None:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    network = models.build("causal_small", num_classes=2, spec={"size": (32, 32), "clip_len": 4, "window_s": 0.4})
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("dark", "light")))
    with caplog.at_level("INFO", logger="kinema"):
        config = WatchConfig(model=str(tmp_path), device="cpu", engine="openvino", json=True)
        assert watch(str(short_video), config) == 0
    assert "engine: torch, not openvino; causal_small remembers" in caplog.text


def test_a_network_that_remembers_is_fed_frame_by_frame(tmp_path, counting_video: Path, capsys) -> None:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    network = models.build("causal_small", num_classes=2, spec={"size": (32, 32), "clip_len": 4, "window_s": 0.4})
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("dark", "light")))
    assert watch(str(counting_video), WatchConfig(model=str(tmp_path), device="cpu", json=True, seconds=0.9)) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    times_s = [line["time_s"] for line in lines]
    assert times_s[0] == 0.0  # no wait for a whole clip
    due = [-(-number * 25 // 10) for number in range(48)]  # ten a second of 25
    assert {round(time_s * 25) for time_s in times_s} <= set(due)
    assert 0 < lines[-1]["predictions_per_s"] < 11
    assert 0 < lines[-1]["latency_p50_s"] <= lines[-1]["latency_p95_s"] <= lines[-1]["latency_p99_s"]
    said = re.search(
        rf"{len(lines)} predictions, (\S+) a second, latency p50 ", printed.err
    )  # the last line is the summary
    assert said is not None
    assert float(said[1]) == pytest.approx(lines[-1]["predictions_per_s"], abs=0.1)  # rounded once, and twice


def test_a_stream_without_a_frame_is_an_error(checkpoint, write_frames, draw_count, tmp_path, capsys) -> None:
    path = write_frames(tmp_path / "dead.mkv", [draw_count(index) for index in range(10)])
    with av.open(str(path)) as film:
        places = [(packet.pos, packet.size) for packet in film.demux(video=0) if packet.pos is not None]
    data = bytearray(path.read_bytes())
    for position, size in places:
        data[position + 16 : position + size] = bytes(size - 16)
    path.write_bytes(data)
    assert cli.run(["watch", str(path), "--model", checkpoint, "--device", "cpu"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    said = f"kinema: the stream ended without a frame that can be decoded: {path}: check that it plays"
    assert [line[: len(said)] for line in err.splitlines()] == [said]


def test_watching_that_is_interrupted_ends_well(checkpoint, monkeypatch, capsys) -> None:
    def interrupted(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("kinema.inference.live.clips.watch", interrupted)
    assert watch("0", WatchConfig(model=checkpoint, device="cpu")) == 0
    assert capsys.readouterr() == ("", "")


def test_scores_that_are_not_numbers_are_an_error_and_no_json(tmp_path, short_video: Path, capsys) -> None:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    network = models.build("single_frame_tiny", num_classes=2)
    network.classifier.weight.data.fill_(float("nan"))
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("dark", "light")))
    assert cli.run(["watch", str(short_video), "--model", str(tmp_path), "--device", "cpu", "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "the network's scores are not numbers" in err


def test_watching_stops_after_the_time_given(checkpoint, counting_video: Path, capsys) -> None:
    assert watch(str(counting_video), WatchConfig(model=checkpoint, device="cpu", json=True, seconds=0.5)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert 0.5 <= lines[-1]["time_s"] < 3.0


def test_a_camera_that_drops_is_opened_again_and_counted(checkpoint, camera, monkeypatch, capsys, caplog) -> None:
    monkeypatch.setattr("kinema.video.live_packets._FIRST_WAIT_S", 0.05)
    with camera(60, 60) as (address, _), pytest.raises(UnreadableVideo, match="did not come back in 2 attempts"):
        watch(address, WatchConfig(model=checkpoint, device="cpu", engine="torch", json=True, reconnect=2))
    printed = capsys.readouterr()
    last = json.loads(printed.out.splitlines()[-1])
    assert (last["received"], last["reconnections"]) == (120, 1)
    assert last["predictions"] == len(printed.out.splitlines())
    summary = printed.err.splitlines()[-1]
    assert re.search(r"watched \d+\.\d s, 120 frames received, 1 reconnection, \d+ predictions", summary)
    assert "frames dropped" in summary
    assert sum("the stream dropped" in record.getMessage() for record in caplog.records) == 2


def test_a_silent_camera_does_not_outlast_the_time_given(checkpoint, camera, capsys) -> None:
    with camera(60, stalls=True) as (address, _):
        began_s = time.monotonic()
        assert watch(address, WatchConfig(model=checkpoint, device="cpu", engine="torch", json=True, seconds=2)) == 0
    assert time.monotonic() - began_s < 20
    assert "60 frames received" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_the_summary(checkpoint, camera, number, tmp_path) -> None:
    # A background job of a shell inherits that SIGINT is ignored.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from kinema.cli import main; main()"
    with camera(3000) as (address, _), (tmp_path / "err").open("w+") as errors:
        command = [sys.executable, "-c", code, "watch", address, "--model", checkpoint, "--device", "cpu", "--json"]
        with subprocess.Popen([*command, "--engine", "torch"], stdout=subprocess.PIPE, stderr=errors) as process:
            assert process.stdout.readline().startswith(b"{")
            process.send_signal(number)
            process.stdout.read()
            assert process.wait(timeout=30) == 0
        errors.seek(0)
        assert re.search(r"kinema: watched \d+\.\d s, \d+ frames received, 0 reconnections, ", errors.read())
