"""Files, patterns and folders become a list of videos in natural order."""

from __future__ import annotations

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
