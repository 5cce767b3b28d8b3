"""Files, patterns and folders become a list of videos in natural order."""

from __future__ import annotations

import os

import pytest

from kinema.errors import VideoError
from kinema.video import is_video, list_media


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b10.mp4",
        "b9.mp4",
        "B2.mkv",
        "record.txt",
        "deep/c.avi",
        "deep/.hidden.mp4",
        ".cache/x.mp4",
        "s.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "nothing").mkdir()
    return tmp_path


def names(folder, paths):
    return [path.removeprefix(f"{folder}/") for path in list_media([str(path) for path in paths])]


def test_a_folder_is_listed_with_all_below_in_natural_order(folder):
    assert names(folder, [folder]) == ["B2.mkv", "b9.mp4", "b10.mp4", "deep/c.avi", "s.png"]


def test_patterns_and_files_are_listed_once(folder):
    requested = [folder / "b10.mp4", folder / "b*.mp4", folder / "**" / "*.avi"]
    assert names(folder, requested) == ["b10.mp4", "b9.mp4", "deep/c.avi"]


def test_a_named_file_counts_whatever_its_ending(folder):
    assert names(folder, [folder / "record.txt"]) == ["record.txt"]


@pytest.mark.parametrize(("name", "words"), [("gone.mp4", "spelling"), ("*.webm", "pattern"), ("nothing", "no video")])
def test_what_is_not_there_is_named(folder, name, words):
    with pytest.raises(VideoError, match=words) as caught:
        list_media([str(folder / name)])
    assert name in str(caught.value)


def test_brackets_in_a_name_are_no_pattern(tmp_path):
    path = tmp_path / "clip[1].mp4"
    path.write_bytes(b"x")
    assert list_media([str(path)]) == [str(path)]


@pytest.mark.parametrize(("path", "expected"), [("a.MP4", True), ("a.gif", True), ("a.png", False), ("mp4", False)])
def test_endings_say_what_is_a_video(path, expected):
    assert is_video(path) is expected


def test_folders_of_frames_may_be_one_input_each(tmp_path):
    for name in ("v1/f_1.jpg", "v1/f_2.jpg", "v2/a.mp4", "v2/thumb.jpg", "v3/deep/f_1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listed = [os.path.relpath(path, tmp_path) for path in list_media([str(tmp_path)], frame_folders=True)]
    assert listed == ["v1", "v2/a.mp4", "v2/thumb.jpg", "v3/deep"]
    assert list_media([str(tmp_path / "v1")], frame_folders=True) == [str(tmp_path / "v1")]
    assert list_media([str(tmp_path / "v[13]")], frame_folders=True) == [
        str(tmp_path / "v1"),
        str(tmp_path / "v3/deep"),
    ]


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch, caplog):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list_media([str(tmp_path)]) == [str(tmp_path / "a.mp4")]
    assert "left out a folder that cannot be read (Permission denied)" in caplog.text
