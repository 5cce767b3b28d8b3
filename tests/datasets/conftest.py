from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kinema.datasets import open_data
from kinema.datasets.dataset import DataSet


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., Path]:
    """Makes empty files below the test's folder (listing never decodes) and returns the folder."""

    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return make


@pytest.fixture(scope="session")
def held_video(video_folder: Path, draw_count: Callable[..., Any]) -> Path:
    """Four frames, at 0, 0.5, 1 and 1.5 s, the last of which is shown until 4.5 s."""
    path = video_folder / "held.gif"
    first, *others = [Image.fromarray(draw_count(index)) for index in range(4)]
    first.save(path, save_all=True, append_images=others, duration=[500, 500, 500, 3000], loop=0)
    return path


@pytest.fixture
def manifest(touch: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a manifest beside a.mp4 to d.mp4."""

    def write(text: str, name: str = "list.csv") -> Path:
        path = touch("a.mp4", "b.mp4", "c.mp4", "d.mp4") / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def listed(tmp_path: Path, counting_video: Path) -> Callable[..., DataSet]:
    """Open rows (label, start, end, split) about the video of 120 frames and 4.8 s, and an empty file beside it."""

    def make(*rows: tuple[object, ...], path: Path = counting_video) -> DataSet:
        manifest = tmp_path / "rows.csv"
        with open(manifest, "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "label", "start", "end", "split"])
            table.writerows([path, *row, *[""] * (4 - len(row))] for row in rows)
        return open_data(manifest)

    return make
