"""`kinema train --keep-features`: videos go through the frozen part once, and the network that comes out is a whole one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from kinema import cli
from kinema.datasets.synthetic import write_motion_set
from kinema.runs import features
from kinema.training.state import load_state
from kinema.weights.checkpoint import load_checkpoint

FAST = ["--batch-size", "8", "--workers", "0", "--size", "32", "--precision", "f32", "--clip-len", "3"]
LATE = ["--model", "late_fusion", "--backbone", "test_resnet", "--sampling", "spread"]


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    return Path(write_motion_set(tmp_path_factory.mktemp("films") / "set", 2, 1, kind="appearance"))


@pytest.fixture
def computed(monkeypatch) -> list[Path]:
    """The files of the views that the frozen part has computed."""
    places: list[Path] = []
    write = features.write_features
    monkeypatch.setattr(features, "write_features", lambda place, rows: (places.append(place), write(place, rows)))
    return places


def train(films: Path, out: Path, *extra: str, transfer: str = "head") -> int:
    words = ["train", str(films), *LATE, *FAST, "--transfer", transfer, "--epochs", "2", "--out", str(out), *extra]
    return cli.run(words)


def test_the_encoder_sees_each_video_once_and_the_next_run_none(films, tmp_path, computed):
    keep = ["--keep-features", str(tmp_path / "kept")]
    assert train(films, tmp_path / "a", *keep) == 0
    assert len(computed) == 24  # 16 for training, 8 for validation
    computed.clear()
    assert train(films, tmp_path / "b", *keep, "--model-args", "head=mean") == 0
    assert len(computed) == 0, "another head on the same encoder needs nothing new"
    assert train(films, tmp_path / "c", *keep, "--feature-views", "3") == 0
    assert len(computed) == 32, "two more views of 16 training videos"


def test_what_comes_out_is_a_whole_network_that_judges_from_films_as_from_features(films, tmp_path):
    out = tmp_path / "run"
    assert train(films, out, "--keep-features", str(tmp_path / "kept"), "--ema", "0") == 0
    summary = json.loads((out / "summary.json").read_text())
    rows = (out / "epochs.csv").read_text().splitlines()
    last = dict(zip(rows[0].split(","), rows[summary["best_epoch"]].split(","), strict=True))
    for name in ("video_hit_at_1", "macro_f1"):
        assert float(last[f"valid_{name}"]) == pytest.approx(summary[name], abs=1e-5)
    network, card = load_checkpoint(out / "best")
    fresh, _ = load_checkpoint(out / "last")
    assert card.training["keep_features"]
    assert all(
        torch.equal(a, b) for a, b in zip(network.backbone.parameters(), fresh.backbone.parameters(), strict=True)
    )
    assert cli.run(["predict", str(films / "valid"), "--model", str(out), "--json"]) == 0


def test_only_the_head_learns(films, tmp_path):
    out = tmp_path / "run"
    assert train(films, out, "--keep-features", str(tmp_path / "kept"), "--ema", "0", "--feature-views", "2") == 0
    _, parts = load_state(out / "state.pt")
    torch.manual_seed(0)
    from kinema.models import build
    from kinema.training.loop import seed_weights

    seed_weights(0)
    start = build("late_fusion", num_classes=8, backbone="test_resnet", spec={"size": (32, 32), "clip_len": 3})
    moved = {name for name, value in start.state_dict().items() if not torch.equal(value, parts["network"][name])}
    assert moved == {"joining.0.weight", "joining.0.bias", "classifier.weight", "classifier.bias"}


def test_where_nothing_is_drawn_at_random_it_learns_what_learning_from_films_does(tmp_path):
    films = write_motion_set(tmp_path / "set", 2, 1, kind="appearance", num_frames=3)  # one clip fits, and no other
    words = ["--augment", "none", "--optimizer", "sgd", "--lr", "3", "--model-args", "head=mean", "dropout=0.0"]
    words += ["--sampling", "dense", "--frame-stride", "1", "--epochs", "6"]
    left, right = ([out, *extra] for out, extra in (("films", []), ("kept", ["--keep-features", str(tmp_path / "k")])))
    start = ["train", films, "--model", "late_fusion", "--backbone", "test_resnet", "--transfer", "head", *FAST, *words]
    for out, *extra in (left, right):
        assert cli.run([*start, "--out", str(tmp_path / out), *extra]) == 0
    progress, parts = zip(*(load_state(tmp_path / out / "state.pt") for out in ("films", "kept")), strict=True)
    for one, other in zip(progress[0].history, progress[1].history, strict=True):
        assert other["train_loss"] == pytest.approx(one["train_loss"], abs=1e-3)
        assert other["valid_loss"] == pytest.approx(one["valid_loss"], abs=1e-3)
    assert progress[0].history[-1]["train_loss"] < progress[0].history[0]["train_loss"] - 0.02, "it learned something"
    weights = [part["network"]["classifier.weight"] for part in parts]
    torch.testing.assert_close(weights[1], weights[0], rtol=0.02, atol=1e-3)


def test_a_network_without_join_learns_its_classifier_from_features(films, tmp_path, computed):
    command = ["train", str(films), "--model", "slow_fusion_tiny", "--transfer", "head", "--epochs", "2"]
    command += [*FAST[:-2], "--out", str(tmp_path / "run"), "--keep-features", str(tmp_path / "kept")]
    assert cli.run(command) == 0
    assert len(computed) == 24
    assert load_checkpoint(tmp_path / "run" / "best")[0].variant == "slow_fusion_tiny"


def test_a_broken_film_is_named_counted_and_left_out(films, tmp_path, caplog):
    root = tmp_path / "set"
    shutil.copytree(films, root)
    victim = min((root / "train").rglob("*.mp4"))
    victim.write_bytes(b"no film")
    keep = ["--keep-features", str(tmp_path / "kept")]
    assert train(root, tmp_path / "a", *keep, "--max-broken", "0.1") == 0
    assert list(json.loads((tmp_path / "a" / "summary.json").read_text())["broken"]) == [str(victim)]
    assert sum("left out, cannot" in record.message for record in caplog.records) == 1
    assert train(root, tmp_path / "b", *keep, "--max-broken", "0") == 1


def test_wrong_requests_are_one_line_and_leave_nothing(films, tmp_path, capsys):
    keep = ["--keep-features", str(tmp_path / "kept")]
    for transfer, extra, said in [
        ("all", keep, "frozen encoder"),
        ("last:1", keep, "frozen encoder"),
        ("head", [*keep, "--mixup", "0.2"], "blend pixels"),
        ("head", ["--feature-views", "2"], "--keep-features"),
        ("head", [*keep, "--feature-views", "0"], "at least 1"),
    ]:
        capsys.readouterr()
        assert train(films, tmp_path / "x", *extra, transfer=transfer) == 2, extra
        err = capsys.readouterr().err
        assert (err.count("\n"), said in err) == (1, True), err
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "kept").exists()


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(films: Path, out: Path, kept: Path, *extra: str) -> list[str]:
    return [
        "train", str(films), *LATE, *FAST, "--transfer", "head", "--epochs", "12", "--save-every-s", "0", "--out", str(out),
        "--keep-features", str(kept), "--feature-views", "2", *extra,
    ]  # fmt: skip


def kill_when(started: list[str], is_time) -> None:
    process = subprocess.Popen([sys.executable, "-m", "kinema", *started], env=one_thread(), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not is_time() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_while_keeping_and_while_learning_it_ends_with_the_same_weights(films, tmp_path):
    assert cli.run(command(films, tmp_path / "whole", tmp_path / "kept")) == 0
    killed = command(films, tmp_path / "killed", tmp_path / "other")
    kill_when(killed, lambda: any((tmp_path / "other").rglob("*.npy")))
    assert not (tmp_path / "killed" / "state.pt").exists(), "the kill came too late to test anything"
    kill_when([*killed, "--resume"], (tmp_path / "killed" / "state.pt").exists)
    assert load_state(tmp_path / "killed" / "state.pt")[0].finished is False, "the kill came too late"
    assert cli.run([*killed, "--resume"]) == 0
    names = sorted(path.relative_to(tmp_path / "kept") for path in (tmp_path / "kept").rglob("*.npy"))
    for name in names:
        assert (tmp_path / "kept" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    left, right = (load_state(tmp_path / name / "state.pt") for name in ("whole", "killed"))
    assert left[0].step == right[0].step
    for name, value in left[1]["network"].items():
        assert torch.equal(value, right[1]["network"][name]), name


@pytest.mark.slow
def test_two_processes_share_the_views_and_learn_as_one(films, tmp_path):
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "kinema"]
    extra = ("--optimizer", "sgd", "--model-args", "head=mean", "dropout=0.0")
    for name, start in (("two", launcher), ("one", ["-m", "kinema"])):
        words = [sys.executable, *start, *command(films, tmp_path / name, tmp_path / f"kept_{name}")]
        done = subprocess.run([*words, *extra], env=one_thread(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    one, two = (load_state(tmp_path / name / "state.pt")[0] for name in ("one", "two"))
    assert len(list((tmp_path / "kept_two").rglob("*.npy"))) == len(list((tmp_path / "kept_one").rglob("*.npy"))) == 40
    for left, right in zip(one.history, two.history, strict=True):
        for key in left:
            if key.startswith(("train_", "valid_")):
                assert right[key] == pytest.approx(left[key], abs=1e-4), key
