"""README.md and docs/start.md run from top to bottom in the folder of a new user: videos/, films/ and match.mp4, nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import timm

from kinema import cli
from kinema.video import open_video

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
SMALL = {
    "train": ["--epochs", "1", "--size", "32", "--batch-size", "8", "--workers", "0", "--precision", "f32"],
    "evaluate": ["--workers", "0"],
}
SMALL["compare"] = SMALL["train"]
SMALL_SEGMENTS = ["--epochs", "1", "--batch-size", "4", "--precision", "f32", "--model-args", "width=16", "levels=3"]
DOWNLOADS = ("--model slowfast_r50_8x8", "--init r2plus1d_18", "--labels ", "kinema detect")
"""What marks a command that needs the internet."""
DEFAULT = "kinema predict match.mp4"
"""A command that needs the internet too: without a network it takes a published one."""
OTHERS = ("kinema demo", "pip ", "python -m venv", ". .venv")
"""Commands with tests of their own (`kinema demo`), and those that install kinema."""


def steps(page: str) -> Iterator[tuple[str, str]]:
    """The command lines and Python blocks of a page, in order, without comments."""
    for found in FENCE.finditer((ROOT / page).read_text(encoding="utf-8")):
        if found["kind"] == "python":
            yield "python", found["text"]
        elif not found["kind"]:
            lines = (line.split("  #")[0].strip() for line in found["text"].splitlines())
            yield from (("shell", line) for line in lines if line and not line.startswith(OTHERS))


@pytest.fixture
def place(tmp_path, motion_folder: Path, write_frames: Callable[..., Path], monkeypatch) -> Path:
    """The folder of a new user, in which the test runs."""
    from kinema.video.synthetic import MOTIONS, draw_motion

    place = tmp_path / "user"
    for label in MOTIONS[:3]:
        shutil.copytree(motion_folder / "train" / label, place / "videos" / label)
    frames = np.concatenate([draw_motion(label, np.random.default_rng(0)) for label in MOTIONS[:3]])
    write_frames(place / "match.mp4", frames)
    (place / "films").mkdir()
    for name in ("a", "b"):
        shutil.copy(place / "match.mp4", place / "films" / f"{name}.mp4")
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def offline(monkeypatch) -> None:
    """Backbones get random weights in place of published ones, and nothing is downloaded."""
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **options: create(name, **options))
    monkeypatch.setenv("KINEMA_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def words_of(line: str) -> tuple[list[str], Path | None]:
    """The arguments of a `kinema` line in small, with a video in place of the camera, and the file that gets its output."""
    words = shlex.split(line)
    assert words.pop(0) == "kinema", line
    target = Path(words[words.index(">") + 1]) if ">" in words else None
    words = words[: words.index(">")] if target else words
    if words[:2] == ["watch", "0"]:
        words[1] = "match.mp4"
    return [*words, *SMALL.get(words[0], [])], target


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_every_command_of_the_page_runs_in_order(page: str, place: Path, offline, capsys):
    count = 0
    for kind, text in steps(page):
        if kind == "python":
            exec(compile(text, page, "exec"), {"__name__": "tour"})
            continue
        words, target = words_of(text)
        capsys.readouterr()
        status = cli.run(words)
        printed, message = capsys.readouterr()
        if target:
            target.write_text(printed)
        if any(mark in text for mark in DOWNLOADS) or text == DEFAULT:
            assert status != 0, text
            assert message.splitlines()[-1].startswith("kinema: "), text
            assert "Traceback" not in message
        else:
            assert status == 0, (text, message)
            count += 1
    assert count >= {"README.md": 12, "docs/start.md": 6}[page]
    answers = [json.loads(line) for line in (place / "answers.jsonl").read_text().splitlines()]
    assert [Path(answer["path"]).name for answer in answers] == ["a.mp4", "b.mp4"]
    assert (place / "runs").is_dir()


@pytest.fixture
def place_with_actions(place: Path) -> Path:
    """The same folder; its films hold one action after the other, with their times in matches.csv and truth.json."""
    names = dict(zip(("left", "right", "up"), ("jump", "wave", "no_action"), strict=True))
    for motion, name in names.items():
        (place / "videos" / motion).rename(place / "videos" / name)
    with open_video(place / "match.mp4") as video:
        third_s = video.info.duration_s / 3
    actions = [("jump", 0.0, third_s), ("wave", third_s, 2 * third_s)]
    paths = ("films/a.mp4", "films/b.mp4", "match.mp4")
    rows = [f"{path},{label},{start:.3f},{end:.3f},{part}" for path, part in zip(paths, ("train", "train", "valid"), strict=True)
            for label, start, end in actions]  # fmt: skip
    (place / "matches.csv").write_text("\n".join(["path,label,start,end,split", *rows, ""]))
    annotations = [{"label": label, "segment": [start, end]} for label, start, end in actions]
    database = {name: {"subset": "testing", "annotations": annotations} for name in ("a", "b")}
    (place / "truth.json").write_text(json.dumps({"database": database}))
    return place


@pytest.mark.slow
def test_finding_actions_runs_as_its_page_says(place_with_actions: Path, offline, capsys):
    """docs/howto/localize.md from top to bottom, in small."""
    count = 0
    for kind, text in steps("docs/howto/localize.md"):
        if kind == "python":
            exec(compile(text, "localize.md", "exec"), {"__name__": "tour"})
            continue
        words, target = words_of(text)
        if "segments" in words:
            words = [*words[: words.index("--epochs")], *SMALL_SEGMENTS]
        status = cli.run(words)
        printed, message = capsys.readouterr()
        assert status == 0, (text, message)
        if target:
            target.write_text(printed)
        count += 1
    assert count >= 15
    assert json.loads((place_with_actions / "submission.json").read_text())["results"].keys() == {"a", "b"}
    card = json.loads((place_with_actions / "runs/slow_fusion_small-1/best/model.json").read_text())
    assert card["grouping"]["origin"]["num_videos"] == 2
    for name in ("elan/a.eaf", "subtitles/b.srt", "pictures/match.png", "found/a.json", "located.mp4", "match.eaf"):
        assert (place_with_actions / name).exists(), name


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_every_command_of_the_page_runs_in_a_shell_as_it_stands(page: str, place: Path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for kind, text in steps(page):
        if text == DEFAULT or any(
            mark in text for mark in (*DOWNLOADS, "--pretrained", "watch 0", "runs/late_fusion-1")
        ):
            continue
        command = ["bash", "-c", text] if kind == "shell" else [sys.executable, "-c", text]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (text, done.stderr)
