"""`--task segments`, as a user runs it: train and judge on a few films with bright and dark actions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from kinema import cli
from kinema.datasets import open_data
from kinema.models import build
from kinema.models.located.network import SegmentNetwork
from kinema.runs.tasks import segments
from kinema.runs.tasks.segments import without_background
from kinema.video.writer import VideoWriter
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint

FPS, NUM_FRAMES = 10.0, 60
LEVELS = {"bright": 220, "dark": 20}
TINY = ["--model-args", "width=16", "levels=3", "stem=1", "heads=2", "attention=5"]
FAST = [*TINY, "--epochs", "2", "--batch-size", "2", "--workers", "0", "--precision", "f32", "--feature-step", "0.2"]
Actions = list[tuple[str, float, float]]


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "LEAST_STEPS", 2)
        yield


def write_film(path: Path, actions: Actions, rng: np.random.Generator) -> None:
    """Grey, and of another brightness during actions."""
    with VideoWriter(path, FPS, size=(32, 32)) as writer:
        for number in range(NUM_FRAMES):
            levels = [LEVELS[label] for label, start_s, end_s in actions if start_s <= number / FPS < end_s]
            frame = np.mean(levels or [110]) + rng.normal(0, 5, (32, 32, 3))
            writer.write(np.clip(frame, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Six films: two overlapping actions, one, or none; rows of the class "background" are no actions."""
    folder, rng = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    listed: list[Actions] = [
        [("bright", 1.0, 3.0), ("dark", 2.0, 4.5)], [("dark", 2.0, 4.0)], [], [("bright", 0.0, 2.0)],
        [("bright", 3.0, 6.0)], [("dark", 1.0, 3.0), ("bright", 4.0, 5.5)],
    ]  # fmt: skip
    rows: list[list[object]] = []
    for number, actions in enumerate(listed):
        write_film(folder / f"{number}.mp4", actions, rng)
        part = "valid" if number > 3 else "train"
        rows += [[f"{number}.mp4", label, start_s, end_s, part] for label, start_s, end_s in actions]
    rows += [["2.mp4", "", "", "", "train"], ["3.mp4", "background", 3.0, 5.0, "train"]]
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "start", "end", "split"], *rows])
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "best"
    network = build("slow_fusion_tiny", num_classes=2, spec={"clip_len": 10, "size": (32, 32), "fps": FPS})
    save_checkpoint(folder, network, ModelCard.of(network, ("a", "b")))
    return folder


@pytest.fixture(scope="module")
def run_folder(films: Path, encoder: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    assert train(films, encoder, "segments_one_stage", "--out", str(out)) == 0
    return out


def train(films: Path, encoder: Path, model: str, *more: str) -> int:
    command = ["train", str(films / "manifest.csv"), "--task", "segments", "--model", model, *FAST]
    return cli.run([*command, "--encoder", str(encoder), *more])


def test_a_run_holds_its_encoder_and_its_figures(run_folder: Path, encoder: Path):
    network, card = load_checkpoint(run_folder / "best")
    trained_on, _ = load_checkpoint(encoder)
    assert isinstance(network, SegmentNetwork)
    assert (card.task, card.labels, card.multi_label) == ("segments", ("bright", "dark"), True)
    assert network.step_s == 0.2
    for name, value in trained_on.state_dict().items():
        if not name.startswith("classifier."):
            assert network.encoder.state_dict()[name].equal(value)
    summary = json.loads((run_folder / "summary.json").read_text())
    assert {"average_map", "map_at_0.5", "map_at_0.75"} <= set(summary)
    assert card.metrics["average_map"] == pytest.approx(summary["average_map"])
    assert (run_folder / "report.html").exists()
    assert "background" not in (run_folder / "split.csv").read_text()


def test_features_are_kept_beside_the_videos_and_used_again(films: Path, run_folder: Path, monkeypatch, capsys):
    kept = list((films / ".kinema" / "features").rglob("*.npy"))
    assert len(kept) == 6
    monkeypatch.setattr("kinema.runs.located_features.extract_many", lambda scorer, paths, *_: iter(paths[:0]))
    capsys.readouterr()
    assert cli.run(["evaluate", str(run_folder), str(films / "manifest.csv"), "--precision", "f32", "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)
    summary = json.loads((run_folder / "summary.json").read_text())
    assert judged["average_map"] == pytest.approx(summary["average_map"], abs=1e-6)
    assert judged["num_actions"] == 3
    assert judged["classes"]["bright"]["n"] == 2


def test_a_run_that_was_killed_ends_with_the_same_weights(
    films: Path, encoder: Path, run_folder: Path, tmp_path: Path, monkeypatch
):
    from kinema.training.loop import Trainer

    out = tmp_path / "a"
    end_epoch = Trainer._end_epoch

    def stop(self: Trainer) -> None:
        end_epoch(self)
        self._save()
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_end_epoch", stop)
    assert train(films, encoder, "segments_one_stage", "--out", str(out)) != 0
    monkeypatch.undo()
    assert train(films, encoder, "segments_one_stage", "--out", str(out), "--resume") == 0
    (first, _), (second, _) = load_checkpoint(out / "last"), load_checkpoint(run_folder / "last")
    for name, value in first.state_dict().items():
        assert value.equal(second.state_dict()[name]), name


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mixup", "0.2"], "--mixup has no meaning: --task segments"),
        (["--transfer", "last:2"], "the encoder is not trained: --transfer last:2"),
        (["--monitor", "macro_f1"], "--monitor macro_f1 is about labels"),
        (["--keep-features", "kept"], "--keep-features goes with --task kept"),
        (["--init", "runs/a"], "--init has an encoder already"),
    ],
)
def test_settings_without_a_meaning_are_refused(films: Path, encoder: Path, more: list[str], message: str, capsys):
    assert train(films, encoder, "segments_one_stage", *more) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["--task", "segments", "--model", "slow_fusion_tiny"], "slow_fusion_tiny does not locate actions"),
        (["--task", "segments", "--model", "segments_one_stage"], "needs a network whose features it sees"),
        (["--model", "slow_fusion_tiny", "--encoder", "x3d_m"], "--encoder goes with --task segments"),
    ],
)
def test_encoder_task_and_network_belong_together(films: Path, command: list[str], message: str, capsys):
    assert cli.run(["train", str(films / "manifest.csv"), *command]) == 2
    assert message in capsys.readouterr().err


def test_a_part_without_an_action_is_refused(films: Path, encoder: Path, tmp_path: Path, capsys):
    rows = list(csv.reader((films / "manifest.csv").read_text().splitlines()))
    table = tmp_path / "table.csv"
    with open(table, "w", newline="") as file:
        kept = [row for row in rows[1:] if row[4] == "train"]
        bare = [["4.mp4", "", "", "", "valid"]]
        lines = [[str(films / row[0]), *row[1:]] for row in kept + bare]
        csv.writer(file).writerows([rows[0], *lines])
    command = ["--task", "segments", "--model", "segments_one_stage", "--encoder", str(encoder)]
    assert cli.run(["train", str(table), *command, "--out", str(tmp_path / "out")]) == 1
    assert "no action in the valid part" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rows_of_the_background_are_no_actions(films: Path):
    data = open_data(str(films / "manifest.csv"))
    assert "background" in tuple(data.labels)
    actions = without_background(data, "background")
    assert tuple(actions.labels) == ("bright", "dark")
    assert {example.path for example in actions.examples} == {example.path for example in data.examples}
    assert without_background(actions, "background") is actions


@pytest.mark.parametrize("command", [["predict", "FILM"], ["watch", "FILM"], ["export", "--out", "net.onnx"]])
def test_commands_for_labels_of_clips_refuse_it(
    films: Path, run_folder: Path, command: list[str], tmp_path: Path, capsys
):
    places = {"FILM": str(films / "0.mp4"), "net.onnx": str(tmp_path / "net.onnx")}
    name, *more = (places.get(word, word) for word in command)
    model = [str(run_folder)] if name == "export" else ["--model", str(run_folder)]
    assert cli.run([name, *model, *more]) == 2
    assert "task segments" in capsys.readouterr().err
