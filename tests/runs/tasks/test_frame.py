"""`--each-step`, as a user runs it: train, judge, predict on a few films whose look changes at some time."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kinema import cli
from kinema.runs.judge import judge_network, open_for
from kinema.runs.options import ScoringOptions
from kinema.video.writer import VideoWriter
from kinema.weights.checkpoint import load_checkpoint

FPS, NUM_FRAMES = 12.0, 36
FAST = ["--epochs", "1", "--batch-size", "4", "--workers", "0", "--size", "32", "--precision", "f32", "--clip-len", "6"]
MODEL = ["--model", "conv_rnn_small", "--model-args", "widths=[4,8]", "stem=[4,4]"]


def write_film(path: Path, change: int, rng: np.random.Generator) -> None:
    """Dark up to a frame, light after it."""
    with VideoWriter(path, FPS, size=(32, 48)) as writer:
        for number in range(NUM_FRAMES):
            level = 40 if number < change else 200
            writer.write(np.clip(level + rng.normal(0, 8, (32, 48, 3)), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Six films; the last half second of each has no label."""
    folder, rng = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    with open(folder / "manifest.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "start", "end", "split"])
        for number in range(6):
            change = int(rng.integers(8, 24))
            write_film(folder / f"{number}.mp4", change, rng)
            part = "valid" if number > 3 else "train"
            table.writerow([f"{number}.mp4", "dark", 0, round(change / FPS, 4), part])
            table.writerow([f"{number}.mp4", "light", round(change / FPS, 4), 2.5, part])
    return folder


@pytest.fixture(scope="module")
def run_folder(films, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    assert cli.run(["train", str(films / "manifest.csv"), "--each-step", *MODEL, "--out", str(out), *FAST]) == 0
    return out


def test_a_run_knows_that_it_answers_at_each_step(run_folder):
    network, card = load_checkpoint(run_folder / "best")
    assert card.task == "frame"
    assert card.labels == ("dark", "light", "background")
    dark, light, background = card.data["class_counts"]  # seconds of four training films of three seconds
    assert dark + light == pytest.approx(4 * 2.5, abs=0.01)
    assert background == pytest.approx(4 * 0.5, abs=0.05)
    summary = json.loads((run_folder / "summary.json").read_text())
    assert summary["baseline"]["label"] == ("dark" if dark > light else "light")
    assert 0.2 < summary["baseline"]["figures"]["frame_accuracy"] < 0.8
    assert summary["baseline"]["chance"]["frame_accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert (network.spec.sampling, network.spec.fps, network.spec.clip_len) == ("dense", 8.0, 6)
    summary = json.loads((run_folder / "summary.json").read_text())
    assert {"frame_accuracy", "mean_class_accuracy", "macro_f1", "edit_score", "f1_at_10", "f1_at_50"} <= set(summary)
    assert card.metrics["frame_accuracy"] == pytest.approx(summary["frame_accuracy"])
    assert (run_folder / "report.html").exists()
    (row,) = csv.DictReader((run_folder / "epochs.csv").read_text().splitlines())
    assert 0 <= float(row["train_clip_hit_at_1"]) <= 1
    assert float(row["valid_loss"]) > 0


def test_evaluation_of_what_was_kept_back_gives_the_figures_of_the_training(films, run_folder, tmp_path, capsys):
    capsys.readouterr()
    arguments = [str(run_folder), str(films / "manifest.csv"), "--precision", "f32", "--out", str(tmp_path / "judged")]
    assert cli.run(["evaluate", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    summary = json.loads((run_folder / "summary.json").read_text())
    for name in ("frame_accuracy", "macro_f1", "edit_score", "f1_at_25"):
        assert found[name] == pytest.approx(summary[name], abs=1e-6)
    assert (found["num_videos"], found["num_steps"], found["background"]) == (2, 2 * 24, "background")
    assert sum(row["n"] for row in found["classes"].values()) == 2 * 24
    assert found["classes"]["background"]["n"] == 2 * 4
    assert {path.name for path in (tmp_path / "judged").iterdir()} >= {"evaluation.json", "report.html"}


def test_judged_films_know_what_they_are_drawn_with(films, run_folder):
    network, card = load_checkpoint(run_folder / "best")
    data = open_for(card, str(films / "manifest.csv"))
    groups = {
        "0.mp4": ("north", "north"),
        "1.mp4": ("north", "south"),
        "2.mp4": ("south", "south"),
        "3.mp4": ("west",) * 2,
    }
    rows = defaultdict(list)
    for example in data.examples:
        name = Path(example.path).name
        rows[name].append(replace(example, group=groups.get(name, (None, None))[len(rows[name])]))
    data = data.with_examples(example for name in rows for example in rows[name])

    found = judge_network(network, card, data, ScoringOptions(precision="f32"))

    drawn = [video.group for video in found.videos]
    assert drawn[0] == drawn[1] == drawn[2]  # the second film ties the two groups
    assert len(set(drawn)) == 4


def test_evaluation_is_printed_for_people_too(films, run_folder, capsys):
    capsys.readouterr()
    assert cli.run(["evaluate", str(run_folder), str(films / "manifest.csv"), "--precision", "f32"]) == 0
    out = capsys.readouterr().out
    assert "judged at each step" in out
    assert "Frame accuracy" in out
    assert "Segment F1@50" in out


def test_prediction_has_a_row_a_step_and_segments_that_fill_the_film(films, run_folder, capsys):
    capsys.readouterr()
    assert cli.run(["predict", str(films / "4.mp4"), "--model", str(run_folder), "--precision", "f32", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    timeline = found["timeline"]
    assert len(timeline["scores"]) == 24  # 3 s at 8 frames a second
    assert np.diff(timeline["times_s"]) == pytest.approx(1 / 8, abs=2e-3)
    assert np.sum(timeline["scores"], axis=1) == pytest.approx(1, abs=1e-3)
    assert timeline["labels"] == ["dark", "light", "background"]
    segments = found["segments"]
    assert (segments[0]["start_s"], segments[-1]["end_s"]) == (0, 3.0)
    assert all(a["end_s"] == b["start_s"] and a["label"] != b["label"] for a, b in pairwise(segments))


def test_settings_without_a_meaning_for_steps_are_refused(films, tmp_path, capsys):
    def fails(*arguments: str) -> str:
        capsys.readouterr()
        folder = tmp_path / "never"
        assert cli.run(["train", str(films / "manifest.csv"), "--each-step", "--out", str(folder), *arguments]) == 2
        assert not folder.exists()
        return capsys.readouterr().err

    assert "no answer at each frame" in fails("--model", "slow_fusion_tiny", *FAST)
    assert "--sampling spread" in fails(*MODEL, "--sampling", "spread")
    assert "--keep-features" in fails(*MODEL, "--keep-features", str(tmp_path / "kept"), "--transfer", "head")
    assert "clip_hit_at_1" in fails(*MODEL, "--monitor", "clip_hit_at_1")


def test_times_without_a_label_can_be_left_out(films, tmp_path):
    out = tmp_path / "b"
    arguments = ["--each-step", "--background", "", "--balance", "loss", *MODEL, "--out", str(out), *FAST]
    assert cli.run(["train", str(films / "manifest.csv"), *arguments]) == 0
    _, card = load_checkpoint(out / "best")
    assert card.labels == ("dark", "light")
    assert json.loads((out / "evaluation.json").read_text())["num_steps"] == 2 * 20
