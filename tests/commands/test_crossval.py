"""`kinema crossval`: every video is judged once, by a network that has not seen it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from kinema import cli
from kinema.datasets import open_data
from kinema.datasets.folds import fold_data
from kinema.datasets.synthetic import write_motion_set

FAST = ["--epochs", "1", "--batch-size", "8", "--workers", "0", "--size", "32", "--precision", "f32"]


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("films")
    write_motion_set(root / "set", 2, 1)
    return root / "set"


@pytest.fixture(scope="module")
def folder(films, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "three"
    assert (
        cli.run(["crossval", str(films), "--model", "single_frame_tiny", "--folds", "3", "--out", str(out), *FAST]) == 0
    )
    return out


def test_each_fold_is_a_run_and_together_they_judge_every_video_once(films, folder):
    judged = []
    for number in (1, 2, 3):
        run = folder / f"fold-{number}"
        assert (run / "best" / "model.json").exists()
        division = open_data(str(run / "split.csv"))
        judged += [Path(example.path).resolve() for example in division.part("valid").examples]
        assert not {e.path for e in division.part("valid").examples} & {e.path for e in division.part("train").examples}
    assert sorted(judged) == sorted(path.resolve() for path in films.rglob("*.mp4"))
    rows = list(csv.DictReader((folder / "predictions.csv").read_text().splitlines()))
    assert sorted(Path(row["path"]).resolve() for row in rows) == sorted(judged)


def test_the_summary_has_mean_deviation_and_pooled_figures(folder):
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["num_videos"], summary["judged"]) == (24, "last")
    for figure in ("video_hit_at_1", "macro_f1"):
        found = summary["figures"][figure]
        assert len(found["folds"]) == 3
        assert found["mean"] == pytest.approx(sum(found["folds"]) / 3)
        assert found["sd"] >= 0
    # Folds are of the same size here, so that the pooled share of hits is the mean of theirs.
    assert summary["pooled"]["video_hit_at_1"] == pytest.approx(summary["figures"]["video_hit_at_1"]["mean"])
    assert {path.name for path in folder.iterdir()} >= {
        "config.toml",
        "evaluation.json",
        "per_class.csv",
        "report.html",
    }
    page = (folder / "report.html").read_text()
    assert all(text in page for text in ("Over the folds", "largest class", "chance"))
    assert (summary["num_sources"], summary["baseline"]["figures"]["video_hit_at_1"]) == (24, 0.125)


def test_the_report_names_the_figures_of_each_fold(folder):
    page = (folder / "report.html").read_text()
    table = page[page.index("Over the folds</h2>") :].split("<table", 3)[2].split("</table>")[0]
    cells = [
        [re.sub(r"<[^>]+>|\s+", " ", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]
    found = json.loads((folder / "summary.json").read_text())["figures"]
    names = {"Video hit@1": "video_hit_at_1", "Clip hit@1": "clip_hit_at_1", "Macro-F1": "macro_f1"}
    for head, name in names.items():
        column = [float(row[cells[0].index(head)]) for row in cells[1:]]
        assert column == pytest.approx(found[name]["folds"], abs=1e-3), head


def test_figures_of_the_report_have_three_digits(folder):
    page = (folder / "report.html").read_text()
    table = page[page.index("Over the folds</h2>") :].split("<table", 3)[2].split("</table>")[0]
    figures = re.findall(r"<td class=\"num share\"[^>]*>([^<]*)</td>", table)
    assert len(figures) >= 3 * 3
    assert all(re.fullmatch(r"[01]\.\d{3}", figure) for figure in figures)


def test_resuming_trains_only_what_is_missing(films, folder, capsys):
    weights = {run.name: (run / "best/model.safetensors").stat().st_mtime_ns for run in folder.glob("fold-*")}
    words = [
        "crossval",
        str(films),
        "--model",
        "single_frame_tiny",
        "--folds",
        "3",
        "--out",
        str(folder),
        *FAST,
        "--resume",
    ]
    before = json.loads((folder / "summary.json").read_text())
    assert cli.run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == before
    assert {run.name: (run / "best/model.safetensors").stat().st_mtime_ns for run in folder.glob("fold-*")} == weights


def test_wrong_requests_are_one_line_and_leave_nothing(films, folder, tmp_path, capsys):
    start = ["crossval", str(films), "--out", str(tmp_path / "x"), *FAST, "--folds", "3"]
    for words, status, said in [
        ([*start, "--model", "single_frame_tinny"], 2, "single_frame_tiny"),
        ([*start[:-1], "1", "--model", "single_frame_tiny"], 2, "--folds"),
        ([*start[:-1], "99", "--model", "single_frame_tiny"], 1, "99 folds"),
        ([*start, "--model", "single_frame_tiny", "--split", "groups"], 1, "no example has a group"),
        ([*start, "--model", "single_frame_tiny", "--valid-groups", "a"], 2, "--valid-groups"),
        ([*start, "--model", "single_frame_tiny", "--transfer", "last:9"], 2, "stage"),
        ([*start, "--model", "cnn_lstm_small", "--each-step"], 2, "--each-step"),
    ]:
        capsys.readouterr()
        assert cli.run(words) == status, words
        err = capsys.readouterr().err
        assert (err.count("\n"), said in err) == (1, True), err
    assert not (tmp_path / "x").exists()
    assert (
        cli.run(["crossval", str(films), "--model", "single_frame_tiny", "--folds", "3", "--out", str(folder), *FAST])
        == 1
    )
    assert "never overwritten" in capsys.readouterr().err


def test_the_folds_share_kept_features(films, tmp_path, monkeypatch):
    from kinema.runs import features

    places: list[Path] = []
    write = features.write_features
    monkeypatch.setattr(features, "write_features", lambda place, rows: (places.append(place), write(place, rows)))
    words = ["crossval", str(films), "--model", "single_frame_tiny", "--folds", "2", "--out", str(tmp_path / "run")]
    assert cli.run([*words, *FAST, "--transfer", "head", "--keep-features", str(tmp_path / "kept")]) == 0
    assert len(places) == 24, "what one fold validates by, another one learns from"


def spoilt(films: Path, folder: Path, *parts: str) -> list[Path]:
    """Copy the films, one of each of these parts of the first of two folds as no video; returns the paths of those."""
    shutil.copytree(films, folder)
    division = fold_data(open_data(str(folder)), 2)[0]
    paths = [Path(division.part(part).examples[number].path) for number, part in enumerate(parts)]
    for path in paths:
        path.write_bytes(b"not a video")
    return paths


def two_folds(films: Path, out: Path) -> list[str]:
    return ["crossval", str(films), "--model", "single_frame_tiny", "--folds", "2", "--out", str(out), *FAST]


def test_unreadable_files_are_a_share_of_all_videos_and_not_of_a_fold(films, tmp_path, caplog):
    (broken,) = spoilt(films, tmp_path / "films", "train")
    assert cli.run(two_folds(tmp_path / "films", tmp_path / "run")) == 0  # 1 of 24 is below 5 %, 1 of 12 is not
    assert f"left out, cannot be read: {broken}" in caplog.text
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["num_videos"], summary["num_failed"]) == (23, 1)
    (failed,) = json.loads((tmp_path / "run/evaluation.json").read_text())["failures"]
    assert failed["path"] == str(broken)
    assert str(broken) in (tmp_path / "run/report.html").read_text()


@pytest.mark.parametrize("parts", [("train", "valid"), ("train", "train")])
def test_too_many_unreadable_files_of_all_videos_end_the_run(films, tmp_path, capsys, parts):
    spoilt(films, tmp_path / "films", *parts)
    assert cli.run(two_folds(tmp_path / "films", tmp_path / "run")) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "2 of 24 examples cannot be read" in error
    assert "--max-broken" in error
    assert not (tmp_path / "run/fold-2").exists()
