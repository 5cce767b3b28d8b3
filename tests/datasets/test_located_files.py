"""Located actions are written so that they can be read again."""

from __future__ import annotations

import json

from kinema.datasets.located import LocatedSet, LocatedVideo, open_located
from kinema.datasets.located_files import ACTIVITYNET, MANIFEST, to_rows, write_located
from kinema.labels import Labels
from kinema.predictions import Segment
from kinema.types import TimeSpan


def test_both_files_hold_all_videos_and_actions(touch):
    root = touch("x/a.mp4", "x/b.mp4")
    actions = [Segment(TimeSpan(0.1, 2 / 3), label, 1.0) for label in ("jump", "run")]
    actions.append(Segment(TimeSpan(1, 2), "run", 1.0))
    videos = (
        LocatedVideo(f"{root}/x/a.mp4", tuple(actions), "train", "g1"),
        LocatedVideo(f"{root}/x/b.mp4", (), "valid", "g2"),
    )
    located = LocatedSet("two", str(root), videos, Labels(("jump", "run")))
    write_located(located, root)
    assert open_located(root / MANIFEST).videos == videos
    assert json.loads((root / ACTIVITYNET).read_text())["database"]["b"] == {"subset": "validation", "annotations": []}
    again = open_located(root / ACTIVITYNET)
    assert [(v.part, [s.label for s in v.segments]) for v in again.videos] == [
        ("train", ["jump", "run", "run"]), ("valid", []),
    ]  # fmt: skip
    assert to_rows(located).multi_label
