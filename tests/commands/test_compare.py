"""`kinema compare`: networks trained alike, and networks of earlier runs, on videos that none of them has seen."""

from __future__ import annotations

import json
import shutil

import pytest

from kinema import cli
from kinema.datasets.synthetic import write_motion_set
from kinema.runs.tasks.clip import ClipTask
from kinema.weights.checkpoint import load_checkpoint

FAST = ["--batch-size", "8", "--workers", "0", "--precision", "f32"]
SHORT = [*FAST, "--epochs", "1", "--size", "32"]


def compare(capsys, *words: str) -> tuple[int, dict, str]:
    capsys.readouterr()
    status = cli.run(["compare", *words, "--json"])
    out, err = capsys.readouterr()
    return status, json.loads(out) if out else {}, err


def test_a_comparison_prints_the_papers_table(films, tmp_path, capsys):
    out = tmp_path / "compare"
    command = [
        "compare",
        str(films),
        "--models",
        "single_frame_tiny,slow_fusion_tiny",
        "--clips",
        "2",
        "--clip-len",
        "6",
        "--out",
        str(out),
    ]
    assert cli.run([*command, *SHORT, "--json"]) == 0
    assert load_checkpoint(out / "slow_fusion_tiny" / "best")[0].spec.clip_len == 6
    result = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in result["networks"]] == ["single_frame_tiny", "slow_fusion_tiny", "average of all"]
    for row in result["networks"]:
        assert 0 <= row["clip_hit_at_1"] <= 1
        assert row["interval"][0] <= row["video_hit_at_1"] <= row["interval"][1]
    assert result["networks"][1]["macs"] > result["networks"][0]["macs"] > 0
    assert {path.name for path in out.iterdir()} >= {"compare.csv", "compare.json", "report.html", "slow_fusion_tiny"}
    again = [*command, *SHORT, "--resume"]
    assert cli.run(again) == 0
    printed = capsys.readouterr().out
    assert "average of all" in printed
    assert "gains" in printed


def test_runs_are_judged_without_training(films, runs, tmp_path, capsys):
    words = [str(films), "--checkpoints", str(runs), "--clips", "1", "--out", str(tmp_path / "c"), *FAST]
    status, found, err = compare(capsys, *words)
    assert (status, err) == (0, "")
    assert [row["name"] for row in found["networks"]] == ["a", "b", "average of all"]
    for row in found["networks"][:2]:
        summary = json.loads((runs / row["name"] / "summary.json").read_text())
        assert row["clips_per_s"] == summary["clips_per_s"]
        assert row["video_hit_at_1"] == pytest.approx(summary["video_hit_at_1"])
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["compare.csv", "compare.json", "report.html"]


def test_files_that_cannot_be_read_are_named_once_and_leave_status_1(films, runs, text_file, tmp_path, capsys):
    shutil.copytree(films, tmp_path / "set")
    bad = next((tmp_path / "set").glob("valid/*/*.mp4"))
    shutil.copy(text_file, bad)
    words = [str(tmp_path / "set"), "--checkpoints", str(runs), "--clips", "1", "--out", str(tmp_path / "c"), *FAST]
    status, found, err = compare(capsys, *words)
    assert (status, len(found["networks"])) == (1, 3)
    assert [str(bad) in line for line in err.splitlines()] == [True]


def test_what_is_printed_stands_as_it_is(films, runs, tmp_path, capsys):
    shutil.copytree(runs / "a", tmp_path / "runs/walk [slow]")
    shutil.copytree(runs / "b", tmp_path / "runs/a:100:b")
    words = ["--checkpoints", str(tmp_path / "runs"), "--clips", "1", "--out", str(tmp_path / "c"), *FAST]
    assert cli.run(["compare", str(films), *words]) == 0
    out = capsys.readouterr().out
    assert out.count("walk [slow]") >= 1
    assert out.count("a:100:b") >= 2


def test_they_stand_beside_networks_that_are_trained_now(films, runs, tmp_path, capsys):
    words = [str(films), "--models", "early_fusion_tiny", "--checkpoints", str(runs / "b"), str(runs / "b" / "last")]
    status, found, _ = compare(capsys, *words, "--out", str(tmp_path / "c"), *SHORT)
    assert status == 0
    assert [row["name"] for row in found["networks"]] == ["early_fusion_tiny", "b", "b-2", "average of all"]


def test_mirrored_views_are_for_networks_that_learned_from_such(films, runs, tmp_path, capsys, monkeypatch):
    shutil.copytree(runs / "b", tmp_path / "unmirrored")
    path = tmp_path / "unmirrored" / "best" / "model.json"
    card = json.loads(path.read_text())
    card["training"]["flip"] = 0.0
    path.write_text(json.dumps(card))
    views = []
    judge = ClipTask.judge

    def watched(self, network, card, data, options, progress):
        views.append(options.flips)
        return judge(self, network, card, data, options, progress)

    monkeypatch.setattr(ClipTask, "judge", watched)
    words = [str(films), "--checkpoints", str(runs / "b"), str(tmp_path / "unmirrored"), "--flips", "--clips", "1"]
    assert compare(capsys, *words, "--out", str(tmp_path / "c"), *FAST)[0] == 0
    assert views == [True, False]


def test_the_runs_own_division_is_one_that_it_has_not_seen(films, runs, tmp_path, capsys):
    division = str(runs / "a" / "split.csv")
    status, found, err = compare(capsys, division, "--checkpoints", str(runs), "--out", str(tmp_path / "c"), *FAST)
    assert (status, err) == (0, "")
    assert len(found["networks"]) == 3


def test_a_network_that_has_seen_the_validation_videos_is_refused(films, runs, tmp_path, capsys):
    words = [str(films), "--split", "random", "--valid-fraction", "0.5", "--checkpoints", str(runs), *FAST]
    status, _, err = compare(capsys, *words, "--out", str(tmp_path / "c"))
    assert status == 1
    assert "has learned from" in err
    assert "split.csv" in err
    assert not (tmp_path / "c").exists()


def test_where_it_cannot_be_told_a_warning_says_so(films, runs, tmp_path, capsys, caplog):
    shutil.copytree(runs / "a" / "best", tmp_path / "alone")
    words = [str(films), "--split", "random", "--checkpoints", str(tmp_path / "alone"), str(tmp_path / "alone2"), *FAST]
    shutil.copytree(runs / "b" / "best", tmp_path / "alone2")
    status, _, _ = compare(capsys, *words, "--out", str(tmp_path / "c"))
    assert status == 0
    assert caplog.text.count("may have seen") == 2


def test_a_comparison_replaces_no_run(films, runs, tmp_path, capsys):
    shutil.copytree(runs / "a", tmp_path / "run")
    report = (tmp_path / "run" / "report.html").read_bytes()
    status, _, err = compare(capsys, str(films), "--checkpoints", str(runs), "--out", str(tmp_path / "run"), *FAST)
    assert (status, "a run is never overwritten" in err) == (1, True)
    assert (tmp_path / "run" / "report.html").read_bytes() == report


def test_wrong_requests_are_one_line(films, runs, tmp_path, capsys):
    (tmp_path / "other" / "x").mkdir(parents=True)
    other = write_motion_set(tmp_path / "set", 2, 1, kind="appearance")
    for words, said in [
        ([str(films), "--checkpoints", str(tmp_path / "other")], "no checkpoint"),
        ([str(films), "--checkpoints", str(runs / "a")], "two"),
        ([other, "--checkpoints", str(runs)], "classes"),
    ]:
        status, _, err = compare(capsys, *words, "--out", str(tmp_path / "c"), *FAST)
        assert status in (1, 2)
        assert (err.count("\n"), said in err) == (1, True), err
    assert not (tmp_path / "c").exists()
