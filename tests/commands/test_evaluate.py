from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinema.commands.evaluate import (
    EvaluateConfig,
    choose_part,
    evaluate,
    evaluate_network,
    judge,
    kept_back,
    open_for,
    print_evaluation,
)
from kinema.datasets.dataset import DataSet
from kinema.engines.scorer import Scored
from kinema.errors import DataError, OutputError
from kinema.labels import Labels
from kinema.types import Example, TimeSpan
from kinema.weights.checkpoint import ModelCard

CONFIG = {"device": "cpu", "workers": 0, "precision": "f32"}


@pytest.fixture(scope="module")
def light_and_dark(tmp_path_factory, write_frames: Callable[..., Path]) -> Path:
    """train and valid parts, two classes, three films each."""
    root = tmp_path_factory.mktemp("light_and_dark")
    for part in ("train", "valid"):
        for label, level in (("dark", 20), ("light", 220)):
            (root / part / label).mkdir(parents=True)
            for number in range(3):
                frames = [np.full((48, 64, 3), level + number + i % 3, np.uint8) for i in range(12)]
                write_frames(root / part / label / f"{number}.mp4", frames)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    folder = tmp_path_factory.mktemp("run") / "best"
    network = models.build("single_frame_tiny", num_classes=2)
    save_checkpoint(folder, network, ModelCard.of(network, ("dark", "light")))
    return folder


def a_network():
    import torch
    from torch import nn

    from kinema.models.network import Network
    from kinema.types import InputSpec
    from kinema.weights.checkpoint import ModelCard

    class Brightness(Network):
        def __init__(self) -> None:
            super().__init__(InputSpec(clip_len=2, size=(16, 16), mean=(0.5,) * 3, std=(0.25,) * 3), 1, 2)
            with torch.no_grad():
                self.classifier.weight.copy_(torch.tensor([[-1.0], [1.0]]))

        def features(self, clip):
            return clip.mean(dim=(1, 2, 3, 4))[:, None]

        def stages(self) -> list[tuple[str, nn.Module]]:
            return []

    network = Brightness()
    return network, ModelCard("brightness", {}, ("dark", "light"), input=network.spec)


def test_a_network_that_knows_is_right_about_all(light_and_dark) -> None:
    from kinema.commands.evaluate import ScoringOptions

    network, card = a_network()
    data = open_for(card, str(light_and_dark)).part("valid")
    result = evaluate_network(network, card, data, options=ScoringOptions(clips=3, crops=3, **CONFIG), progress=False)
    assert result["video_hit_at_1"] == result["clip_hit_at_1"] == result["macro_f1"] == 1
    assert result.protocol == "3x3"
    assert result.videos[0].scores.shape == (9, 2)
    assert result.loss < 0.1


def test_json_is_one_document_with_the_promised_keys(light_and_dark, checkpoint, capsys) -> None:
    assert evaluate(str(checkpoint.parent), str(light_and_dark), EvaluateConfig(json=True, **CONFIG)) == 0
    found = json.loads(capsys.readouterr().out)
    promised = {"macro_f1", "clip_hit_at_1", "clip_hit_at_5", "video_hit_at_1", "video_hit_at_5"}
    assert promised | {"mean_class_accuracy", "num_videos", "num_failed", "classes"} <= set(found)
    assert (found["num_videos"], found["num_failed"]) == (6, 0)
    assert set(found["classes"]) == {"dark", "light"}


def test_broken_file_is_counted_named_and_leaves_status_1(
    light_and_dark, checkpoint, tmp_path, text_file, capsys, caplog
) -> None:
    manifest = tmp_path / "films.csv"
    rows = [[path, path.parent.name] for path in sorted(light_and_dark.glob("valid/*/*.mp4"))] + [[text_file, "dark"]]
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label"], *rows])
    out = tmp_path / "out"
    assert evaluate(str(checkpoint), str(manifest), EvaluateConfig(out=str(out), **CONFIG)) == 1
    found = json.loads((out / "evaluation.json").read_text())
    assert (found["num_videos"], found["num_failed"]) == (6, 1)
    assert found["failures"][0]["path"] == str(text_file)
    assert str(text_file) in caplog.text
    assert {path.name for path in out.iterdir()} == {
        "evaluation.json",
        "per_class.csv",
        "predictions.csv",
        "report.html",
    }
    assert "Video hit@1" in capsys.readouterr().out


def test_class_that_the_network_does_not_know_is_an_error(light_and_dark, checkpoint, tmp_path) -> None:
    film = next(light_and_dark.glob("valid/dark/*.mp4"))
    (tmp_path / "films.csv").write_text(f"path,label\n{film},darkk\n")
    with pytest.raises(DataError, match=r"no class called 'darkk'.*Did you mean dark"):
        evaluate(str(checkpoint), str(tmp_path / "films.csv"), EvaluateConfig(**CONFIG))


def test_part_is_chosen_by_name_or_the_first_held_out_one(light_and_dark) -> None:
    _, card = a_network()
    data = open_for(card, str(light_and_dark))
    assert {e.split for e in choose_part(data, "auto").examples} == {"valid"}
    assert {e.split for e in choose_part(data, "train").examples} == {"train"}
    assert len(choose_part(data, "all").examples) == 12
    assert len(choose_part(open_for(card, str(light_and_dark / "valid")), "auto").examples) == 6
    with pytest.raises(DataError, match="no test part"):
        choose_part(data, "test")


def test_data_that_a_network_learned_from_is_told_apart(light_and_dark, tmp_path, capsys, caplog) -> None:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    videos = light_and_dark / "train"
    network = models.build("single_frame_tiny", num_classes=2)
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("dark", "light"), data={"root": str(videos)}))
    (tmp_path / "split.csv").write_text("path,label\n")
    assert evaluate(str(tmp_path), str(videos), EvaluateConfig(**CONFIG, json=True)) == 0
    assert json.loads(capsys.readouterr().out)["part"] == "all"
    assert "learned from these videos" in caplog.text
    assert f"{tmp_path}/split.csv --split valid" in caplog.text
    with pytest.raises(DataError, match=r"not divided.*split.csv --split valid"):
        evaluate(str(tmp_path), str(videos), EvaluateConfig(**CONFIG, split="valid"))


def test_a_folder_of_something_else_is_not_written_into(light_and_dark, checkpoint, tmp_path):
    data, config = str(light_and_dark), {**CONFIG, "batch_size": 2}
    (tmp_path / "run").mkdir()
    for name in ("environment.json", "evaluation.json", "report.html"):
        (tmp_path / "run" / name).write_text("{}")
    with pytest.raises(OutputError, match="a run is never overwritten"):
        evaluate(str(checkpoint), data, EvaluateConfig(**config, out=str(tmp_path / "run")))
    (tmp_path / "predictions.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"a file of that name: .*predictions\.csv"):
        evaluate(str(checkpoint), data, EvaluateConfig(**config, out=str(tmp_path)))
    for _ in range(2):
        assert evaluate(str(checkpoint), data, EvaluateConfig(**config, out=str(tmp_path / "judged"))) == 0


def test_what_is_kept_back_is_named_by_a_command_that_can_be_pasted(tmp_path):
    run = tmp_path / "my run"
    run.mkdir()
    (run / "split.csv").touch()
    command = kept_back(run / "best").split("`")[1]
    assert shlex.split(command) == ["kinema", "evaluate", f"{run}/best", f"{run}/split.csv", "--split", "valid"]


def test_classes_are_printed_as_they_are_and_those_without_a_video_without_figures(capsys, monkeypatch):
    from kinema.evaluation import VideoScores, evaluate_scores

    monkeypatch.setenv("COLUMNS", "100")
    labels = Labels(("walk [slow]", "[/b] stop", "at 10:100:20"))
    videos = [VideoScores(str(n), n, np.eye(3, dtype=np.float32)[[n]]) for n in range(2)]
    print_evaluation(evaluate_scores(videos, labels), "net [b]")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("net [b] on 2 videos")
    rows = {label: line.removeprefix(label).split() for label in labels for line in lines if line.startswith(label)}
    assert rows["walk [slow]"] == rows["[/b] stop"] == ["1", "1.000", "1.000", "1.000"]
    assert rows["at 10:100:20"] == ["0", "–", "–", "–"]


def test_questions_end_with_one_mark(light_and_dark, checkpoint, tmp_path):
    film = next(light_and_dark.glob("valid/dark/*.mp4"))
    (tmp_path / "films.csv").write_text(f"path,label\n{film},darkk\n")
    with pytest.raises(DataError, match=r"Did you mean dark\? Correct the label"):
        evaluate(str(checkpoint), str(tmp_path / "films.csv"), EvaluateConfig(**CONFIG))


def leaning():
    """A network that says "right" where the right half is brighter."""
    import torch
    from torch import nn

    from kinema.models.network import Network
    from kinema.types import InputSpec

    class Leaning(Network):
        def __init__(self) -> None:
            super().__init__(InputSpec(clip_len=2, size=(16, 16), mean=(0.5,) * 3, std=(0.25,) * 3), 1, 2)
            with torch.no_grad():
                self.classifier.weight.copy_(torch.tensor([[-3.0], [3.0]]))
                self.classifier.bias.copy_(torch.tensor([0.0, 0.0]))

        def features(self, clip):
            halves = clip.mean(dim=(1, 2, 3)).unflatten(-1, (2, 8)).mean(dim=-1)
            return (halves[:, 1] - halves[:, 0])[:, None]

        def stages(self) -> list[tuple[str, nn.Module]]:
            return []

    return Leaning()


def test_mirrored_views_speak_for_the_classes_that_theirs_turn_into(tmp_path, write_frames):
    from kinema.datasets import open_data
    from kinema.weights.checkpoint import ModelCard

    half = np.zeros((48, 64, 3), np.uint8)
    half[:, 32:] = 200
    for label, frame in (("left", half[:, ::-1]), ("right", half)):
        (tmp_path / label).mkdir()
        write_frames(tmp_path / label / "a.mp4", [frame] * 6)
    data, network = open_data(str(tmp_path)), leaning()
    options = EvaluateConfig(**CONFIG, flips=True, clips=2)
    scores = {}
    for pairs in ([], ["left=right"]):
        card = ModelCard.of(network, ("left", "right"))
        card = replace(card, training={"mirror_labels": pairs})
        judged = evaluate_network(network, card, data, options=options, progress=False)
        scores[bool(pairs)] = [video.video[video.targets[0]] for video in judged.videos]
    assert scores[False] == pytest.approx([0.5, 0.5], abs=0.02)  # a view and its mirror image cancel
    assert min(scores[True]) > 0.9


def test_judged_videos_know_their_group_or_else_their_file():
    spans = [TimeSpan(0, 1), TimeSpan(1, 2)]
    examples = (*(Example("1.mp4", ("a",), span) for span in spans), Example("2.mp4", ("b",), group="camera"))
    data = DataSet("films", ".", examples, Labels(("a", "b")))
    card = ModelCard("single_frame_tiny", {}, ("a", "b"))
    found = judge(Scored({index: np.zeros((1, 2), np.float32) for index in range(3)}), data, card, "1x1")
    assert [video.group for video in found.videos] == ["1.mp4", "1.mp4", "camera"]
