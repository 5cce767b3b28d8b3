"""`kinema fuse`: two trained networks as one checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kinema import cli
from kinema.models import build
from kinema.weights.checkpoint import ModelCard, read_card, save_checkpoint

FAST = ["--batch-size", "8", "--workers", "0", "--precision", "f32"]


@pytest.mark.parametrize("svm", [False, True])
def test_two_runs_become_one_network(run_json, fails, svm, films, flow_run, frame_run, tmp_path, capsys):
    out = tmp_path / "both"
    command = ["fuse", str(frame_run), str(flow_run), "--data", str(films), "--out", str(out), "--workers", "0"]
    status, found = run_json(*command, "--precision", "f32", *(["--svm"] if svm else ["--weights", "1,2"]))
    assert status == 0
    assert [row["name"] for row in found["networks"]] == [str(frame_run), str(flow_run), str(out)]
    assert read_card(out).metrics["video_hit_at_1"] == found["networks"][2]["video_hit_at_1"]
    status, judged = run_json("evaluate", str(out), str(films), "--workers", "0", "--precision", "f32")
    assert judged["video_hit_at_1"] == pytest.approx(found["networks"][2]["video_hit_at_1"])
    film = str(next(films.glob("valid/left/*.mp4")))
    scores = [dict(_scores(run_json, film, model)) for model in (frame_run, flow_run, out)]
    if not svm:
        mean = {label: (scores[0][label] + 2 * scores[1][label]) / 3 for label in scores[2]}
        assert scores[2] == pytest.approx(mean, abs=0.02)  # the middle frames differ by one
    status, err = fails(*command)
    assert (status, err.count("\n")) == (1, 1)


def test_a_joined_network_is_shown_beside_its_parts_and_baselines(films, flow_run, frame_run, tmp_path, capsys):
    parts, out = [str(frame_run), str(flow_run)], str(tmp_path / "both")
    assert cli.run(["fuse", *parts, "--data", str(films), "--out", out, "--workers", "0", "--precision", "f32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [*parts, out]
    assert "the largest class" in lines[4]
    assert "chance" in lines[4]


@pytest.mark.parametrize("part", ["train", "valid"])
def test_joining_names_files_that_cannot_be_read(part, films, flow_run, frame_run, text_file, tmp_path, capsys):
    shutil.copytree(films, tmp_path / "set")
    bad = next((tmp_path / "set").glob(f"{part}/*/*.mp4"))
    shutil.copy(text_file, bad)
    command = ["fuse", str(frame_run), str(flow_run), "--data", str(tmp_path / "set"), "--workers", "0"]
    status = cli.run([*command, "--out", str(tmp_path / "both"), "--svm", "--precision", "f32"])
    err = capsys.readouterr().err
    assert status == 1
    assert [str(bad) in line for line in err.splitlines()] == [True]
    assert (tmp_path / "both/model.json").is_file()


@pytest.mark.parametrize("spared", ["left", "no class"])
def test_a_support_vector_machine_needs_videos_of_every_class(
    spared, films, flow_run, frame_run, text_file, tmp_path, capsys
):
    shutil.copytree(films, tmp_path / "set")
    for path in (tmp_path / "set").glob("train/*/*.mp4"):
        if path.parent.name != spared:
            shutil.copy(text_file, path)
    command = ["fuse", str(frame_run), str(flow_run), "--data", str(tmp_path / "set"), "--workers", "0"]
    assert cli.run([*command, "--out", str(tmp_path / "both"), "--svm", "--precision", "f32"]) == 1
    err = capsys.readouterr().err.splitlines()
    assert "a class has no training video that can be read" in err[-1]
    assert all(".mp4" in line for line in err[:-1])
    assert len(err) > 5
    assert not (tmp_path / "both").exists()


def _scores(run_json, film: str, model: Path) -> list[tuple[str, float]]:
    _, found = run_json("predict", film, "--model", str(model), "--top", "8", "--precision", "f32")
    return [(row["label"], row["score"]) for row in found["top"]]


def test_networks_that_do_not_fit_together_are_refused(fails, films, flow_run, frame_run, tmp_path, capsys):
    other = tmp_path / "other"
    network = build("two_stream_small", num_classes=8, width=8, spec={"clip_len": 4, "size": (32, 32)})
    save_checkpoint(other, network, ModelCard.of(network, read_card(flow_run / "best").labels))
    for arguments, said in [
        ([str(flow_run), str(other)], "clip_len"),
        ([str(frame_run), str(flow_run), "--weights", "1"], "--weights"),
        ([str(frame_run), str(flow_run), "--weights", "1,-1"], "--weights"),
        ([str(frame_run), str(tmp_path / "none")], "none"),
    ]:
        status, err = fails("fuse", *arguments, "--data", str(films), "--out", str(tmp_path / "x"))
        assert status in (1, 2)
        assert err.count("\n") == 1
        assert said in err
    assert not (tmp_path / "x").exists()
