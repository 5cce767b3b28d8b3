"""`--task boxes`, as a user runs it: train on a few drawn figures, evaluate, detected boxes, wrong settings and files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kinema import cli
from kinema.datasets import open_data
from kinema.datasets.located_boxes import read_box_rows
from kinema.datasets.synthetic_figures import ACTIONS, write_figures_set
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint

FAST = ["--epochs", "1", "--batch-size", "4", "--workers", "0", "--size", "32", "--precision", "f32", "--clip-len", "4"]
TINY = ["--model", "slow_fusion_tiny", "--model-args", "width=4"]


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    write_figures_set(folder, counts={"train": 5, "valid": 2}, seconds=3, fps=8, size=(48, 64), seed=3)
    return folder


def train(data: Path, *arguments: str) -> int:
    return cli.run(["train", str(data), "--task", "boxes", *TINY, *FAST, *arguments])


@pytest.fixture(scope="module")
def run_folder(figures, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    assert train(figures, "--out", str(out)) == 0
    return out


def test_any_network_gets_a_head_for_boxes(run_folder):
    network, card = load_checkpoint(run_folder / "best")
    assert (card.task, card.multi_label, card.variant) == ("boxes", True, "roi_head")
    assert card.labels == ("stand", "walk", "wave", "jump", "spin")
    assert card.arguments["members"][0]["variant"] == "slow_fusion_tiny"
    assert (network.spec.sampling, network.spec.fps, network.spec.resize) == ("dense", 8.0, "stretch")
    summary = json.loads((run_folder / "summary.json").read_text())
    assert 0 <= summary["frame_map_at_0.5"] <= 1
    assert card.metrics["frame_map_at_0.5"] == pytest.approx(summary["frame_map_at_0.5"])
    assert "Frame mAP@0.5" in (run_folder / "report.html").read_text()


def judge(run_folder: Path, data: Path, capsys, *arguments: str) -> dict:
    capsys.readouterr()
    assert cli.run(["evaluate", str(run_folder), str(data), "--precision", "f32", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluation_gives_the_figures_of_the_training(figures, run_folder, tmp_path, capsys):
    found = judge(run_folder, figures, capsys, "--out", str(tmp_path / "judged"))
    summary = json.loads((run_folder / "summary.json").read_text())
    assert found["frame_map_at_0.5"] == pytest.approx(summary["frame_map_at_0.5"], abs=1e-6)
    rows = [row for row in read_box_rows(figures / "valid.csv") if row.box is not None]
    assert found["num_boxes"] == len({(row.video, row.stamp_s, row.box) for row in rows})
    assert sum(row["n"] for row in found["classes"].values()) == len(rows)
    assert "with true boxes" in found["protocol"]
    assert (tmp_path / "judged" / "predictions.csv").read_text().startswith("key_frame,left")
    assert cli.run(["evaluate", str(run_folder), str(figures), "--precision", "f32"]) == 0
    assert "Frame mAP@0.5" in capsys.readouterr().out


def test_detected_boxes_are_learned_and_judged(figures, run_folder, tmp_path, capsys):
    """Boxes that are slightly off, one that is nobody, and one of low score."""
    lines = []
    for row in read_box_rows(figures / "train.csv"):
        lines += [f"{row.video},{row.stamp_s:g},0,0,0.1,0.1,,0.4"]
    for name in ("train.csv", "valid.csv"):
        for row in read_box_rows(figures / name):
            if row.box is not None:
                sides = ",".join(f"{side + 0.01:.4f}" for side in row.box)
                lines.append(f"{row.video},{row.stamp_s:g},{sides},,0.9")
    file = tmp_path / "found.csv"
    file.write_text("\n".join(lines))
    found = judge(run_folder, figures, capsys, "--detected", str(file))
    assert "with detected boxes" in found["protocol"]
    assert abs(found["frame_map_at_0.5"] - judge(run_folder, figures, capsys)["frame_map_at_0.5"]) < 0.25
    assert train(figures, "--boxes", str(file), "--out", str(tmp_path / "b")) == 0
    empty = tmp_path / "other.csv"
    empty.write_text("nobody,1,0,0,1,1,,0.9\n")
    assert train(figures, "--boxes", str(empty), "--out", str(tmp_path / "c")) == 1
    assert "none of its 0 boxes is at a key frame" in capsys.readouterr().err


def save_classifier(folder: Path, num_classes: int) -> Network:
    network = build("slow_fusion_tiny", num_classes=num_classes, width=4, spec={"clip_len": 4, "size": (32, 32)})
    save_checkpoint(folder, network, ModelCard.of(network, ACTIONS[:num_classes]))
    return network


def test_a_trained_classifier_starts_the_network_inside(figures, tmp_path):
    clip = save_classifier(tmp_path / "clip", len(ACTIONS))
    started = ["--init", str(tmp_path / "clip"), "--lr", "1e-12", "--ema", "0"]
    assert train(figures, *started, "--out", str(tmp_path / "run")) == 0
    network, card = load_checkpoint(tmp_path / "run" / "best")
    assert card.arguments["members"][0]["init"] == str(tmp_path / "clip")
    assert np.allclose(network.trunk.stem[0].weight.detach(), clip.stem[0].weight.detach(), atol=1e-6)


def test_settings_without_a_meaning_for_boxes_are_refused(figures, tmp_path, capsys):
    def fails(*arguments: str) -> str:
        capsys.readouterr()
        assert train(figures, "--out", str(tmp_path / "never"), *arguments) == 2
        assert not (tmp_path / "never").exists()
        return capsys.readouterr().err

    assert "--mixup" in fails("--mixup", "0.2")
    assert "--rotate" in fails("--rotate", "10")
    assert "spread" in fails("--sampling", "spread")
    assert "frame_accuracy" in fails("--monitor", "frame_accuracy")
    other = ["--task", "boxes", "--model", "late_fusion_tiny", "--out", str(tmp_path / "never")]
    assert cli.run(["train", str(figures), *other]) == 2
    assert "features at each place" in capsys.readouterr().err
    assert cli.run(["train", str(figures), *TINY, *FAST, "--boxes", "x.csv"]) == 2
    assert "--task boxes" in capsys.readouterr().err


def test_data_without_boxes_or_persons_is_one_error(figures, tmp_path, motion_folder, capsys):
    assert train(motion_folder, "--out", str(tmp_path / "x")) == 1
    assert "no boxes in this data set" in capsys.readouterr().err
    folder = tmp_path / "empty"
    shutil.copytree(figures, folder)
    (folder / "valid.csv").write_text("valid_000,1\n")
    assert train(folder, "--out", str(tmp_path / "y")) == 1
    assert "no person in the valid part" in capsys.readouterr().err


def test_networks_of_other_tasks_are_refused(figures, run_folder, tmp_path, capsys):
    save_classifier(tmp_path / "clip", 2)
    capsys.readouterr()
    assert cli.run(["evaluate", str(tmp_path / "clip"), str(figures)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the network has no class called" in line
    film = open_data(figures).examples[0].path
    assert cli.run(["predict", film, "--model", str(run_folder)]) == 2
    assert "kinema detect" in capsys.readouterr().err


def test_batches_without_any_person_stay_finite(figures, tmp_path):
    folder = tmp_path / "few"
    shutil.copytree(figures, folder)
    rows = [row for row in (figures / "train.csv").read_text().splitlines() if row.startswith("train_000")]
    empty = [f"train_00{number},{second}" for number in range(1, 5) for second in (1, 2)]
    (folder / "train.csv").write_text("\n".join([*rows, *empty]) + "\n")
    (folder / "valid.csv").write_text("\n".join(row.replace("train", "valid") for row in rows) + "\n")
    settings = [*FAST[:2], "--batch-size", "1", *FAST[4:], "--monitor", "loss", "--out", str(tmp_path / "run")]
    assert cli.run(["train", str(folder), "--task", "boxes", *TINY, *settings]) == 0
    network, _ = load_checkpoint(tmp_path / "run" / "best")
    assert all(bool(value.isfinite().all()) for value in network.state_dict().values())
