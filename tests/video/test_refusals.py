"""What is no video file is refused at once, with what to do instead; nothing is waited for."""

from __future__ import annotations

import os
import socket

import pytest

from kinema.errors import KinemaError, UnreadableVideo
from kinema.video import list_media, open_video
from kinema.video.refusals import refusal


def _refused(path) -> str:
    with pytest.raises(KinemaError) as caught:
        open_video(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["pipe.mp4", "pipe.png", "pipe.gif", "pipe"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "a pipe, not a file" in _refused(tmp_path / name)
    assert "kinema watch -" in _refused(tmp_path / name)


def test_sockets_and_devices_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.mp4")
        assert "a socket, not a file" in _refused("s.mp4")
    os.symlink("/dev/zero", "zero.mp4")
    assert "a device, not a file" in _refused("zero.mp4")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("0", "for camera 0 use `kinema watch 0`"),
        ("https://example.org/a.mp4", "download it, or use `kinema watch https://example.org/a.mp4`"),
        ("https://example.org/watch?v=x", "an address, not a file"),
        ("rtsp://camera.local/stream", "kinema watch rtsp://camera.local/stream"),
        ("gone.mp4", "no such file or folder: gone.mp4: check the spelling"),
        ("gone/a.mp4", "no such file or folder"),
        ("a" * 300, "no such file or folder"),
    ],
)
def test_paths_that_lead_to_no_file(tmp_path, monkeypatch, path, words):
    monkeypatch.chdir(tmp_path)
    assert words in _refused(path)
    with pytest.raises(KinemaError) as caught:
        list_media([path])
    assert words in str(caught.value)


def test_a_link_to_nothing_names_its_target(tmp_path):
    (tmp_path / "link.mp4").symlink_to("moved.mp4")
    assert "a link to moved.mp4, which does not exist" in _refused(tmp_path / "link.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    assert "a link to loop.mp4" in _refused(tmp_path / "loop.mp4")


def test_a_file_without_permission(tmp_path, monkeypatch, counting_video):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    assert "no permission to read this file" in _refused(counting_video)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.mp4", b"", "the file is empty"),
        ("a.png", b"", "the file is empty"),
        ("a.mp4", b"<!DOCTYPE html>\n<html>Not found</html>", "a text, not a video: "),
        ("a.mp4", "Ünïcode wörds\n".encode() * 40, "a text, not a video: "),
        ("a.mp4", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("a.onnx", bytes(range(256)), "a file of a network, not a video: "),
        ("a.safetensors", bytes(range(256)), "give it to --model"),
        ("a.csv", b"path,label\n", "a table, not a video"),
        ("a.zip", b"PK\x03\x04" + bytes(64), "unpack it first"),
        ("a.mp4", bytes(range(256)) * 9, "not a video, or damaged"),
    ],
)
def test_files_of_other_kinds(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert words in _refused(tmp_path / name)


def test_a_folder_of_videos_is_no_video(tmp_path, counting_video):
    (tmp_path / "a.mp4").symlink_to(counting_video)
    assert "a folder of videos, not a video" in _refused(tmp_path)


def test_sound_files_have_no_video_track(audio_file):
    assert "no video track in this file" in _refused(audio_file)


def test_files_and_folders_are_not_refused(tmp_path, counting_video):
    assert refusal(counting_video) is None
    assert refusal(tmp_path) is None
    assert isinstance(refusal(tmp_path / "gone"), UnreadableVideo)
