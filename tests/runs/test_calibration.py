"""Clips that set int8 ranges, and other clips that judge."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from kinema.datasets.dataset import DataSet
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.runs.calibration import divide, gather
from kinema.types import Example, InputSpec


def listed(*parts: str | None) -> DataSet:
    examples = tuple(Example(f"{number}.mp4", ("ab"[number % 2],), split=part) for number, part in enumerate(parts))
    return DataSet("films", "films", examples, Labels(("a", "b")))


def test_what_sets_ranges_does_not_judge():
    data = listed(*[None] * 11)
    first, second = divide(data, 100)
    assert (len(first), len(second)) == (5, 6)
    assert {e.path for e in first} | {e.path for e in second} == {e.path for e in data.examples}
    assert [e.path for e in first] != sorted((e.path for e in first), key=lambda path: int(path[:-4])), "mixed"
    assert divide(data, 2) == (first[:2], second[:2])
    first, second = divide(listed("train", "train", "test", "valid", "train"), 100)
    assert ({e.split for e in first}, {e.split for e in second}) == ({"train"}, {"valid"})
    with pytest.raises(DataError, match="one video cannot both"):
        divide(listed(None), 10)


def test_few_videos_give_several_clips_each(motion_folder: Path, write_frames, tmp_path, caplog):
    from kinema.datasets import open_data

    spec = InputSpec(clip_len=4, size=(32, 32))
    data = open_data(str(motion_folder))
    found = gather(data, spec, 40)
    assert found.ranges.shape == (40, *spec.shape)
    assert found.judged.shape == (40, *spec.shape)
    assert found.targets is not None
    assert len(set(found.targets)) == 8
    assert found.ranges.std() > 5
    assert gather(data, spec, 3, labelled=False).targets is None
    assert "3 clips set the int8 ranges" in caplog.text


def test_broken_videos_are_named_and_left_out(motion_folder: Path, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "kinema")
    spec = InputSpec(clip_len=4, size=(32, 32))
    good = sorted(motion_folder.rglob("*.mp4"))[:4]
    (tmp_path / "broken.mp4").write_text("no film")
    paths = [*map(str, good), str(tmp_path / "broken.mp4")]
    data = DataSet("films", "films", tuple(Example(path, ("a",)) for path in paths), Labels(("a", "b")))
    found = gather(data, spec, 4)
    assert len(found.ranges) + len(found.judged) in (6, 7, 8)
    assert "left out" in caplog.text
    bad = data.with_examples([Example(str(tmp_path / "broken.mp4"), ("a",)), data.examples[-1]])
    with pytest.raises(DataError, match="not one video can be read"):
        gather(bad, spec, 4)
