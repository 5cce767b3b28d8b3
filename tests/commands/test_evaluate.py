from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from kinema.cli import run
from kinema.commands.evaluate import EvaluateConfig, evaluate
from kinema.errors import DataError, OutputError
from kinema.weights.checkpoint import ModelCard

CONFIG = {"device": "cpu", "workers": 0, "precision": "f32"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    from kinema import models
    from kinema.weights.checkpoint import save_checkpoint

    folder = tmp_path_factory.mktemp("run") / "best"
    network = models.build("single_frame_tiny", num_classes=2)
    save_checkpoint(folder, network, ModelCard.of(network, ("dark", "light")))
    return folder


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


def test_data_that_a_network_learned_from_is_told_apart(light_and_dark, tmp_path, capsys, caplog) -> None:
    from kinema import models
    from kinema.weights.checkpoint import save_checkpoint

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


def test_questions_end_with_one_mark(light_and_dark, checkpoint, tmp_path):
    film = next(light_and_dark.glob("valid/dark/*.mp4"))
    (tmp_path / "films.csv").write_text(f"path,label\n{film},darkk\n")
    with pytest.raises(DataError, match=r"Did you mean dark\? Correct the label"):
        evaluate(str(checkpoint), str(tmp_path / "films.csv"), EvaluateConfig(**CONFIG))


def test_segments_in_files_are_judged_by_a_protocol(tmp_path, capsys):
    truth, answers = tmp_path / "truth.csv", tmp_path / "answers.csv"
    truth.write_text("video,label,start,end\nv,jump,0,10\nv,run,20,30\n")
    answers.write_text("video,label,start,end,score\nv,jump,0,10,0.9\nv,run,40,50,0.8\n")
    flags = ["evaluate", "--segments", str(answers), "--truth", str(truth)]
    assert run([*flags, "--json", "--out", str(tmp_path / "judged")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["protocol"], result["figures"]["average_map"]) == ("activitynet", 0.5)
    assert json.loads((tmp_path / "judged/evaluation.json").read_text()) == result
    assert run([*flags, "--protocol", "thumos2014"]) == 0
    shown = capsys.readouterr().out
    assert "the THUMOS 2014 challenge" in shown
    assert "background" in shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--segments", "a.json"], "needs two files"),
        (["--truth", "a.json"], "needs two files"),
        (["--segments", "a.json", "--boxes", "b.csv", "--truth", "c.csv"], "needs two files"),
        (["--segments", "a.json", "--truth", "b.json", "--protocol", "ava"], "the protocol ava is not for segments"),
        (["--boxes", "a.csv", "--truth", "b.csv", "--protocol", "events"], "the protocol events is not for boxes"),
        (["run", "data", "--segments", "a.json", "--truth", "b.json"], "judge a file, and no network: run"),
        ([], "evaluate needs CHECKPOINT"),
        (["run"], "evaluate needs DATA"),
    ],
)
def test_what_to_judge_must_be_given(flags, message, capsys):
    assert run(["evaluate", *flags]) == 2
    assert message in capsys.readouterr().err
