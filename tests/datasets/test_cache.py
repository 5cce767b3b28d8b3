from __future__ import annotations

import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from kinema.datasets import cache as cache_module
from kinema.datasets.cache import FrameCache, file_state
from kinema.datasets.clips import ClipDataset
from kinema.datasets.dataset import DataSet
from kinema.errors import OutputError, UnreadableVideo
from kinema.labels import Labels
from kinema.types import Example, InputSpec
from kinema.video import open_video


@pytest.fixture
def decoded(monkeypatch):
    """The paths that were opened for decoding."""
    opened = []

    def counted(path, **how):
        opened.append(path)
        return open_video(path, **how)

    monkeypatch.setattr(cache_module, "open_video", counted)
    return opened


def files_in(folder) -> list[str]:
    return sorted(name for _, _, names in os.walk(folder) for name in names)


def test_a_video_is_decoded_once_and_mapped_afterwards(counting_video, tmp_path, decoded):
    cache = FrameCache(tmp_path)
    first, times_s = cache.read(str(counting_video), 32)
    second, _ = cache.read(str(counting_video), 32)
    assert decoded == [str(counting_video)]
    assert isinstance(second, np.memmap)
    assert np.array_equal(first, second)
    with open_video(counting_video) as video:
        assert np.array_equal(first, video.frames_at(range(120), 32))
        assert np.array_equal(times_s, video.times_s)


def test_another_size_or_a_changed_file_is_decoded_again(short_video, tmp_path, decoded):
    film = tmp_path / "film.mp4"
    shutil.copy(short_video, film)
    cache = FrameCache(tmp_path / "cache")
    assert cache.read(str(film), 32)[0].shape == (5, 32, 48, 3)
    assert cache.read(str(film), (16, 16))[0].shape == (5, 16, 16, 3)
    os.utime(film, (1, 1))
    cache.read(str(film), 32)
    assert len(decoded) == 3


def test_images_written_anew_under_their_names_are_read_again(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cache = FrameCache(tmp_path / "cache")
    for level in (200, 90):
        for number in range(3):
            Image.new("RGB", (32, 32), (level,) * 3).save(pictures / f"{number}.png")
            os.utime(pictures / f"{number}.png", (level, level))
        os.utime(pictures, (1, 1))
        assert set(cache.read(str(pictures), 32)[0].flat) == {level}


def test_the_state_of_a_folder_is_that_of_its_images(tmp_path):
    for name in ("1.png", "2.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    states = [file_state(str(tmp_path))]
    (tmp_path / "notes.txt").write_bytes(b"longer")
    assert file_state(str(tmp_path)) == states[0]
    (tmp_path / "2.png").write_bytes(b"longer")
    states.append(file_state(str(tmp_path)))
    os.utime(tmp_path / "1.png", (1, 1))
    states.append(file_state(str(tmp_path)))
    (tmp_path / "2.png").rename(tmp_path / "3.png")
    states.append(file_state(str(tmp_path)))
    assert len(set(states)) == 4


def test_the_state_of_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UnreadableVideo, match="no such file"):
        file_state(str(tmp_path / "gone"))


@pytest.mark.parametrize("damage", [b"", b"not numpy", None])
def test_a_damaged_entry_is_built_again(short_video, tmp_path, caplog, damage):
    cache = FrameCache(tmp_path)
    whole = np.array(cache.read(str(short_video), 32)[0])
    (entry,) = [path for path in tmp_path.rglob("*.npy") if "times" not in path.name]
    entry.write_bytes(entry.read_bytes()[:-1000] if damage is None else damage)
    with caplog.at_level(logging.WARNING, "kinema"):
        assert np.array_equal(cache.read(str(short_video), 32)[0], whole)
    assert "damaged" in caplog.text


def test_lost_times_are_built_again(short_video, tmp_path):
    cache = FrameCache(tmp_path)
    cache.read(str(short_video), 32)
    next(tmp_path.rglob("*.times.npy")).unlink()
    assert len(cache.read(str(short_video), 32)[1]) == 5


def test_many_readers_at_once_leave_one_whole_entry(counting_video, tmp_path):
    def read(_: int) -> np.ndarray:
        return np.array(FrameCache(tmp_path).read(str(counting_video), 32)[0])

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(read, range(6)))
    assert all(np.array_equal(frames, found[0]) for frames in found)
    assert len(files_in(tmp_path)) == 2


def test_nothing_is_left_of_a_video_that_cannot_be_decoded(text_file, tmp_path):
    with pytest.raises(UnreadableVideo):
        FrameCache(tmp_path).read(str(text_file), 32)
    assert files_in(tmp_path) == []


def test_frames_that_cannot_be_decoded_are_left_out_with_their_times(damaged_video, tmp_path):
    frames, times_s = FrameCache(tmp_path).read(str(damaged_video), 32)
    assert 0 < len(frames) == len(times_s) <= 120


def test_a_folder_that_cannot_be_written_is_an_error_and_not_a_broken_example(short_video, tmp_path):
    (tmp_path / "file").write_text("in the way")
    data = DataSet("toy", "", (Example(str(short_video), ("a",)),), Labels(("a", "b")))
    with pytest.raises(OutputError):
        ClipDataset(data, InputSpec(clip_len=2), cache=FrameCache(tmp_path / "file"))[0]


def test_clips_are_the_same_with_and_without_a_cache(counting_video, tmp_path):
    data = DataSet("toy", "", (Example(str(counting_video), ("a",)),), Labels(("a", "b")))
    spec = InputSpec(clip_len=4, size=(32, 32))
    plain, cached = ClipDataset(data, spec), ClipDataset(data, spec, cache=FrameCache(tmp_path))
    assert np.array_equal(plain[0].clips, cached[0].clips)
