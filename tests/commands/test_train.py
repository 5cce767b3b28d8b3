"""`kinema train`, as a user runs it, on videos that take a second to learn from."""

import csv
import json
import logging
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import torch

from kinema import cli
from kinema.weights.checkpoint import load_checkpoint

FAST = ["--epochs", "1", "--batch-size", "8", "--workers", "0", "--size", "32", "--precision", "f32"]


@pytest.fixture(scope="module")
def run_folder(films, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    assert cli.run(["train", str(films), "--model", "slow_fusion_tiny", "--out", str(out), *FAST]) == 0
    return out


def test_a_run_leaves_all_that_is_needed_to_judge_and_repeat_it(run_folder):
    left = {path.name for path in run_folder.iterdir()}
    assert left >= {
        "best", "last", "config.toml", "environment.json", "split.csv", "epochs.csv", "curves.png", "confusion.png",
        "evaluation.json", "summary.json", "report.html", "state.pt",
    }  # fmt: skip
    config = tomllib.loads((run_folder / "config.toml").read_text())
    assert (config["model"], config["epochs"], len(config["about"]["split_fingerprint"])) == ("slow_fusion_tiny", 1, 64)
    rows = list(csv.DictReader((run_folder / "epochs.csv").read_text().splitlines()))
    assert len(rows) == 1
    assert float(rows[0]["train_loss"]) > 0
    assert json.loads((run_folder / "environment.json").read_text())["packages"]["torch"]


def test_the_checkpoint_knows_its_classes_input_and_accuracy(run_folder):
    network, card = load_checkpoint(run_folder / "best")
    assert len(card.labels) == 8
    assert network.spec.size == (32, 32)
    assert network.spec.window_s == pytest.approx(2.0, abs=0.2)
    assert 0 <= card.metrics["video_hit_at_1"] <= 1
    assert card.data["split_fingerprint"]


def test_evaluating_what_was_kept_back_gives_the_figures_of_the_training(run_folder, capsys):
    summary = json.loads((run_folder / "summary.json").read_text())
    capsys.readouterr()
    arguments = [str(run_folder), str(run_folder / "split.csv"), "--split", "valid", "--precision", "f32", "--json"]
    assert cli.run(["evaluate", *arguments, "--workers", "0"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert found["part"] == "valid"
    figures = ("macro_f1", "clip_hit_at_1", "video_hit_at_1", "video_hit_at_5", "mean_class_accuracy", "num_failed")
    assert {name: found[name] for name in figures} == pytest.approx({name: summary[name] for name in figures}, abs=1e-6)


def test_the_report_says_what_learned_from_what(run_folder, films):
    page = (run_folder / "report.html").read_text()
    assert f"slow_fusion_tiny, 16 training and 8 validation videos of {films}; best of 1 epochs: 1" in page


def test_the_report_names_training_files_that_were_left_out(films, tmp_path):
    shutil.copytree(films, tmp_path / "set")
    broken = next((tmp_path / "set" / "train").rglob("*.mp4"))
    broken.write_text("no film")
    command = ["train", str(tmp_path / "set"), "--model", "single_frame_tiny", "--out", str(tmp_path / "run")]
    assert cli.run([*command, *FAST, "--max-broken", "0.5"]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert str(broken) in page.split("Training files left out")[-1]


def test_the_end_has_baselines_and_commands_that_can_be_pasted(films, run_folder, tmp_path, capsys):
    out = tmp_path / "my run"
    assert cli.run(["train", str(films), "--model", "single_frame_tiny", "--out", str(out), *FAST]) == 0
    printed = capsys.readouterr().out
    assert "always naming 'clockwise', the largest class: 12.5%; chance: 12.5%" in printed
    assert "95 % interval of Video hit@1: " in printed
    commands = [shlex.split(line) for line in printed.splitlines() if line.startswith("  kinema ")]
    evaluate, predict = commands
    assert predict[-1] == f"{out}/best"
    assert Path(predict[2]).is_file()
    assert cli.run([*evaluate[1:], "--workers", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["part"], found["num_videos"], found["baseline"]["known_from"]) == ("valid", 8, "training part")


def test_a_stopped_run_says_how_it_goes_on(fails, films, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kinema.runs.fit._train", stop)
    command = ["train", str(films), "--model", "single_frame_tiny", *FAST]
    status, err = fails(*command, "--out", str(tmp_path / "a b"))
    assert (status, err.count("\n")) == (130, 1)
    assert err == f"kinema: stopped: the same command with --out '{tmp_path}/a b' --resume goes on\n"


def test_epochs_are_counted_from_one_everywhere(run_folder):
    rows = list(csv.DictReader((run_folder / "epochs.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1"]
    assert json.loads((run_folder / "summary.json").read_text())["best_epoch"] == 1


def test_the_same_command_gives_the_same_weights(films, run_folder, tmp_path):
    assert cli.run(["train", str(films), "--model", "slow_fusion_tiny", "--out", str(tmp_path / "b"), *FAST]) == 0
    weights = "best/model.safetensors"
    assert (tmp_path / "b" / weights).read_bytes() == (run_folder / weights).read_bytes()


def test_a_run_folder_is_never_overwritten(fails, films, run_folder, capsys):
    before = (run_folder / "config.toml").read_bytes()
    status, err = fails("train", str(films), "--model", "single_frame_tiny", "--out", str(run_folder), *FAST)
    assert (status, err.count("\n")) == (1, 1)
    assert "never overwritten" in err
    assert "--resume" in err
    assert (run_folder / "config.toml").read_bytes() == before


def test_resuming_with_other_settings_says_which(fails, films, run_folder, capsys):
    command = [
        "train",
        str(films),
        "--model",
        "slow_fusion_tiny",
        "--out",
        str(run_folder),
        *FAST,
        "--lr",
        "0.5",
        "--resume",
    ]
    status, err = fails(*command)
    assert status == 2
    assert "--lr" in err
    assert f"--config {run_folder}/config.toml" in err


def test_a_run_that_lost_too_many_files_goes_on_when_more_may_be_lost(fails, films, tmp_path, capsys):
    data, out = tmp_path / "films", tmp_path / "run"
    shutil.copytree(films, data)
    for victim in sorted((data / "train").rglob("*.mp4"))[::3]:
        victim.write_bytes(b"not a video")
    command = ["train", str(data), "--model", "slow_fusion_tiny", "--out", str(out), *FAST]
    status, err = fails(*command)
    assert status == 1
    assert "--max-broken" in err
    assert cli.run([*command, "--resume", "--max-broken", "0.5"]) == 0
    assert len(json.loads((out / "summary.json").read_text())["broken"]) > 1


def test_a_run_resumed_with_its_own_settings_needs_no_other(films, run_folder, caplog):
    command = ["train", str(films), "--config", str(run_folder / "config.toml"), "--resume", "--out", str(run_folder)]
    with caplog.at_level(logging.INFO, logger="kinema"):
        assert cli.run(command) == 0
    assert "nothing to resume: all" in caplog.text


def test_a_finished_run_resumed_stays_as_it_is(films, run_folder):
    before = (run_folder / "best/model.safetensors").read_bytes()
    command = ["train", str(films), "--model", "slow_fusion_tiny", "--out", str(run_folder), *FAST, "--resume"]
    assert cli.run(command) == 0
    assert (run_folder / "best/model.safetensors").read_bytes() == before


def test_a_run_starts_from_another_runs_weights(films, run_folder, tmp_path):
    command = [
        "train",
        str(films),
        "--model",
        "slow_fusion_tiny",
        "--init",
        str(run_folder / "best"),
        "--transfer",
        "head",
    ]
    assert cli.run([*command, "--out", str(tmp_path / "c"), *FAST]) == 0
    old, new = (load_checkpoint(folder / "best")[0].state_dict() for folder in (run_folder, tmp_path / "c"))
    same = {name for name in old if (old[name] == new[name]).all()}
    assert set(old) - same == {"classifier.weight", "classifier.bias"}


def test_a_2d_backbone_of_timm_learns_on_frames(films, tmp_path):
    out = tmp_path / "timm"
    command = ["train", str(films), "--model", "late_fusion", "--backbone", "test_resnet.r160_in1k", "--clip-len", "3"]
    assert cli.run([*command, "--sampling", "spread", "--tensorboard", "--out", str(out), *FAST]) == 0
    assert load_checkpoint(out / "best")[0].spec.clip_len == 3
    assert list((out / "tensorboard").glob("events*"))


def test_wrong_requests_are_one_line(fails, films, run_folder, tmp_path, capsys):
    train = ["train", str(films), "--out", str(tmp_path / "x"), *FAST]
    one, other = sorted(folder.name for folder in (films / "train").iterdir())[:2]
    for arguments, said in [
        ([*train, "--model", "slow_fusion_tinny"], "slow_fusion_tiny"),
        ([*train, "--model", "single_frame", "--backbone", "resnet5"], "resnet50"),
        ([*train, "--model", "single_frame_tiny", "--init", str(tmp_path / "none")], "none"),
        ([*train, "--model", "single_frame_tiny", "--init", str(run_folder / "best")], "slow_fusion_tiny"),
        ([*train, "--model", "slow_fusion_tiny", "--init", str(run_folder), "--model-args", "width=8"], "width=8"),
        ([*train, "--model", "slow_fusion_tiny", "--transfer", "last:9"], "stage2"),
        (["train", str(films), "--model", "single_frame_tiny", "--size", "big"], "HEIGHTxWIDTH"),
        ([*train, "--model", "single_frame_tiny", "--model-args", "width"], "name=value"),
        ([*train, "--model", "single_frame_tiny", "--crop-scale", "3"], "between 0 and 1"),
        ([*train, "--model", "slow_fusion_tiny", "--sampling", "dense", "--time-scale", "0.5"], "--time-scale"),
        ([*train, "--model", "single_frame_tiny", "--mirror-labels", "a"], "LEFT=RIGHT"),
        ([*train, "--model", "single_frame_tiny", "--flip", "0", "--mirror-labels", f"{one}={other}"], "--flip 0.5"),
        ([*train, "--model", "single_frame_tiny", "--flip", "1", "--mirror-labels", f"{one}={one}"], "one other class"),
        ([*train, "--model", "single_frame_tiny", "--reverse-labels", f"{one}"], "="),
        ([*train, "--model", "two_stream_small", "--reverse-labels", f"{one}={other}"], "flow"),
        (["train", str(tmp_path), "--model", "slow_fusion_tinny"], "Did you mean slow_fusion_tiny"),
        (["train", str(tmp_path), "--model", "single_frame_tiny"], str(tmp_path)),
        (["compare", str(films), "--models", "single_frame_tiny"], "two"),
    ]:
        status, err = fails(*arguments)
        assert status in (1, 2), arguments
        assert err.count("\n") == 1, err
        assert said in err, err
        assert err.startswith("kinema: ")
    assert not (tmp_path / "x").exists(), "a request that cannot be carried out must leave nothing behind"


def test_a_network_of_ones_own_goes_on_with_longer_clips(films, run_folder, tmp_path):
    command = ["train", str(films), "--model", "slow_fusion_tiny", "--init", str(run_folder), "--clip-len", "20"]
    assert cli.run([*command, "--transfer", "head", "--out", str(tmp_path / "run"), *FAST]) == 0
    before, after = load_checkpoint(run_folder / "best")[0], load_checkpoint(tmp_path / "run" / "best")[0]
    assert after.spec == before.spec.with_(clip_len=20)
    theirs = before.state_dict()
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value, theirs[name])}
    assert changed <= {"classifier.weight", "classifier.bias"}


@pytest.mark.slow
def test_sigterm_ends_a_run_as_ctrl_c_does(films, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "kinema", "train", str(films), "--model", "single_frame_tiny", "--out", str(out)]
    command += ["--epochs", "100000", "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (out / "state.pt").exists():
        assert process.poll() is None
        time.sleep(0.2)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err.splitlines()[-1] == f"kinema: stopped: the same command with --out {out} --resume goes on"
    assert "Traceback" not in err
