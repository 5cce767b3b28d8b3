"""The folder of a run: its name, what it holds, and with which settings a run may be resumed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest

from kinema.errors import CheckpointError, ConfigError, OutputError
from kinema.runs.config import TrainConfig
from kinema.runs.folder import check_same, choose_folder, only_process, resumable, start_folder, to_toml

CONFIG = TrainConfig(model="single_frame_tiny", model_args=("width=8",))


def test_a_run_without_a_folder_takes_the_next_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(choose_folder(None, "c3d")) == "runs/c3d-1"
    (tmp_path / "runs/c3d-1").mkdir(parents=True)
    assert str(choose_folder(None, "c3d")) == "runs/c3d-2"
    assert str(choose_folder("here", "c3d")) == "here"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="--out"):
        choose_folder(None, "c3d")


def test_a_new_folder_holds_settings_and_environment_and_is_not_started_again(tmp_path):
    start_folder(tmp_path / "run", CONFIG, {"data": "videos"})
    settings = tomllib.loads((tmp_path / "run/config.toml").read_text())
    assert (settings["model"], settings["model_args"], settings["about"]) == (
        "single_frame_tiny",
        ["width=8"],
        {"data": "videos"},
    )
    assert "lr" not in settings, "what is None is left out"
    assert set(json.loads((tmp_path / "run/environment.json").read_text())["packages"]) >= {"torch", "av"}
    with pytest.raises(OutputError, match="never overwritten"):
        start_folder(tmp_path / "run", CONFIG, {})


def test_only_the_main_process_starts_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    start_folder(tmp_path / "run", CONFIG, {})
    assert not (tmp_path / "run").exists()


def test_a_run_is_resumed_with_its_own_settings_only(tmp_path):
    start_folder(tmp_path, CONFIG, {"data": "videos"})
    check_same(tmp_path, CONFIG)
    check_same(tmp_path, replace(CONFIG, workers=3, cache="elsewhere", max_broken=0.5))
    with pytest.raises(ConfigError, match="--lr was None when the run began"):
        check_same(tmp_path, replace(CONFIG, lr=0.5))
    with pytest.raises(CheckpointError, match="no run to resume"):
        check_same(tmp_path / "elsewhere", CONFIG)


@pytest.mark.parametrize(
    ("old", "task"),
    [
        ({"each_step": True}, {"task": "frame"}),
        ({"each_step": False}, {"task": "clip"}),
        ({"each_step": False, "keep_features": "kept"}, {"keep_features": "kept"}),
    ],
)
def test_runs_from_before_tasks_are_resumed(old, task, tmp_path):
    config = TrainConfig(model="cnn_gru_small", transfer="head", **task)
    lines = to_toml({"model": "cnn_gru_small", "transfer": "head", **old}).splitlines()
    names = {"task", *(line.split(" = ")[0] for line in lines)}
    start_folder(tmp_path, config, {})
    written = (tmp_path / "config.toml").read_text().splitlines()
    kept = [line for line in written if line.split(" = ")[0] not in names]
    (tmp_path / "config.toml").write_text("\n".join([*kept, *lines]))
    check_same(tmp_path, config)


def test_an_interrupted_run_says_how_to_resume_it_if_there_is_a_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="--resume"), resumable(tmp_path):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt) as stopped, resumable(tmp_path / "none"):
        raise KeyboardInterrupt
    assert not stopped.value.args


HOLD = """
import sys, time
from pathlib import Path
from kinema.runs.folder import only_process
with only_process(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path, monkeypatch):
    monkeypatch.setattr("kinema.runs.folder.LOCK_WAIT_S", 0.05)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match="another process trains in this folder"), only_process(tmp_path / "run"):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with only_process(tmp_path / "run"):
        start_folder(tmp_path / "run", CONFIG, {})  # the lock's file is not taken for a run


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def refuse(self, timeout=None):
        raise NotImplementedError

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with only_process(tmp_path / "run"):
        assert "has no locks" in caplog.text
