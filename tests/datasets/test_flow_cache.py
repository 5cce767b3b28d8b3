from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kinema.clips.transforms import PRESETS, decode_size
from kinema.datasets import flow_cache as module
from kinema.datasets.cache import FrameCache
from kinema.datasets.clips import Broken, ClipDataset, Views
from kinema.datasets.dataset import DataSet
from kinema.datasets.flow_cache import FlowCache, default_folder, open_flow_cache
from kinema.errors import OutputError, UnreadableVideo
from kinema.labels import Labels
from kinema.types import Example, InputSpec, TimeSpan
from kinema.video import open_video
from kinema.video.flow import follow, measure

FLOW = InputSpec(clip_len=3, frame_stride=5, size=(32, 32), mean=(0.5,) * 2, std=(0.5,) * 2, modality="flow")
BOTH = FLOW.with_(mean=(0.5,) * 5, std=(0.5,) * 5, modality="rgb+flow")


def files_in(folder) -> list[str]:
    return sorted(name for _, _, names in os.walk(folder) for name in names)


def data_of(*paths, root: str = "", span: TimeSpan | None = None) -> DataSet:
    examples = tuple(Example(str(path), ("a",), span) for path in paths)
    return DataSet("toy", str(root), examples, Labels(("a", "b")))


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    paths = []

    def counted(path, **how):
        paths.append(str(path))
        return open_video(path, **how)

    monkeypatch.setattr(module, "open_video", counted)
    return paths


def test_flow_is_computed_once_and_read_at_random_afterwards(counting_video, tmp_path, opened):
    kept = FlowCache(tmp_path, "dis").read(str(counting_video), 32)
    again = FlowCache(tmp_path, "dis").read(str(counting_video), 32)
    assert opened == [str(counting_video)]
    with open_video(counting_video) as video:
        pairs = enumerate(video.frames_at(range(120), 32))
        exact = np.stack([field for _, _, field in follow(pairs, 120, measure("dis"))])
        assert np.array_equal(again.times_s, video.times_s)
    assert np.array_equal(again.numbers, np.arange(120))
    rows = np.array([119, 3, 60, 3])
    assert np.array_equal(again.read(rows), kept.read(np.arange(120))[rows])
    assert np.abs(again.read(rows).astype(np.float32) - exact[rows]).mean() < 0.1 * 127 / 20  # 0.1 px


def test_another_method_size_or_a_changed_file_is_computed_again(short_video, tmp_path, opened):
    film = tmp_path / "film.mp4"
    shutil.copy(short_video, film)
    dis, farneback = (FlowCache(tmp_path / "cache", method) for method in ("dis", "farneback"))
    assert dis.read(str(film), 32).read(np.array([0])).shape == (1, 32, 48, 2)
    assert dis.read(str(film), (16, 24)).read(np.array([0])).shape == (1, 16, 24, 2)
    assert farneback.found(str(film), 32) is None
    farneback.read(str(film), 32)
    os.utime(film, (1, 1))
    dis.read(str(film), 32)
    assert len(opened) == 4
    assert len(files_in(tmp_path / "cache")) == 4


def test_a_image_written_anew_has_another_place(tmp_path):
    (tmp_path / "1.png").write_bytes(b"x")
    os.utime(tmp_path, (1, 1))
    cache = FlowCache(tmp_path / "flow", "dis")
    place = cache.place(str(tmp_path), 32)
    os.utime(tmp_path / "1.png", (1, 1))
    assert cache.place(str(tmp_path), 32) != place


@pytest.mark.parametrize("left", [0, 5, 100, -1, -8, -40])
def test_a_file_that_was_cut_off_is_computed_again(short_video, tmp_path, left):
    cache = FlowCache(tmp_path, "dis")
    whole = cache.read(str(short_video), 32).read(np.arange(5))
    place = cache.place(str(short_video), 32)
    place.write_bytes(place.read_bytes()[:left])
    assert cache.found(str(short_video), 32) is None
    assert np.array_equal(cache.read(str(short_video), 32).read(np.arange(5)), whole)


def test_a_killed_writer_leaves_nothing_under_the_name(counting_video, tmp_path, monkeypatch):
    calls = []

    def killed(field):
        calls.append(field)
        if len(calls) == 50:
            raise KeyboardInterrupt
        return b"x"

    monkeypatch.setattr(module, "encode", killed)
    with pytest.raises(KeyboardInterrupt):
        FlowCache(tmp_path, "dis").read(str(counting_video), 32)
    assert files_in(tmp_path) == []
    monkeypatch.undo()
    assert len(FlowCache(tmp_path, "dis").read(str(counting_video), 32).numbers) == 120


def test_many_writers_at_once_leave_one_whole_file(short_video, tmp_path):
    def read(_: int) -> np.ndarray:
        return FlowCache(tmp_path, "dis").read(str(short_video), 32).read(np.arange(5))

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(read, range(6)))
    assert all(np.array_equal(fields, found[0]) for fields in found)
    assert len(files_in(tmp_path)) == 1


def test_nothing_is_left_of_a_video_that_cannot_be_decoded(text_file, tmp_path):
    with pytest.raises(UnreadableVideo):
        FlowCache(tmp_path, "dis").read(str(text_file), 32)
    assert files_in(tmp_path) == []


def test_frames_without_a_follower_are_left_out_with_their_times(damaged_video, tmp_path):
    kept = FlowCache(tmp_path, "dis").read(str(damaged_video), 32)
    assert 0 < len(kept.numbers) < 120
    with open_video(damaged_video) as video:
        assert np.array_equal(kept.times_s, video.times_s[kept.numbers])
    clips = ClipDataset(data_of(damaged_video), BOTH, flow_cache=FlowCache(tmp_path, "dis"))[0].clips
    assert clips.shape == (1, 5, 3, 32, 32)


def test_damaged_images_name_the_file_to_delete(short_video, tmp_path):
    cache = FlowCache(tmp_path, "dis")
    place = cache.read(str(short_video), decode_size(FLOW, train=False)).path
    data = bytearray(place.read_bytes())
    data[14:40] = bytes(26)
    place.write_bytes(data)
    broken = ClipDataset(data_of(short_video), FLOW, flow_cache=cache)[0]
    assert isinstance(broken, Broken)
    assert "delete" in broken.reason


def test_a_place_that_cannot_be_written_is_reported_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="--flow-cache"):
        FlowCache(tmp_path / "file" / "flow", "dis")


def test_flow_lies_beside_its_videos_and_every_list_of_them_finds_it(short_video, tmp_path):
    films = tmp_path / "films" / "train" / "a"
    films.mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "split.csv").write_text("")
    film = shutil.copy(short_video, films / "1.mp4")
    listed = data_of(film, root=tmp_path / "films")
    assert default_folder(listed) == tmp_path / "films" / ".kinema" / "flow"
    cache = open_flow_cache(None, listed, FLOW)
    cache.read(str(film), 32)
    again = open_flow_cache(None, data_of(film, root=tmp_path / "run" / "split.csv"), FLOW)
    assert again.found(str(film), 32) is not None
    assert open_flow_cache("elsewhere", listed, FLOW).folder.name == "elsewhere"
    assert open_flow_cache(None, listed, InputSpec()) is None


def test_clips_are_the_same_with_and_without_caches(counting_video, tmp_path):
    data = data_of(counting_video)
    caches = [
        {},
        {"cache": FrameCache(tmp_path / "a")},
        {"flow_cache": FlowCache(tmp_path / "b", "dis")},
        {"cache": FrameCache(tmp_path / "a"), "flow_cache": FlowCache(tmp_path / "b", "dis")},
    ]
    for spec in (FLOW, BOTH):
        found = [ClipDataset(data, spec, views=Views(2, 3), **how)[0].clips for how in caches]
        assert found[0].shape == (6, spec.num_channels, 3, 32, 32)
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[2], found[3])
        assert torch.equal(found[0][:, :-2], found[2][:, :-2])
        lost = (found[0][:, -2:].float() - found[2][:, -2:].float()).abs()  # to JPEG
        assert lost.mean() < 1


@pytest.mark.parametrize("spec", [FLOW, BOTH])
def test_a_span_in_which_the_last_frame_is_held_takes_its_flow(held_video, tmp_path, spec):
    for how in ({}, {"flow_cache": FlowCache(tmp_path, "dis")}):
        inside, behind = (
            ClipDataset(data_of(held_video, span=span), spec, augment=PRESETS["none"], **how)[0]
            for span in (TimeSpan(3.0, 4.0), TimeSpan(5.0, 6.0))
        )
        assert torch.equal(inside.clips[:, :, 0], inside.clips[:, :, -1])
        assert "the video ends at 4.5 s" in behind.reason


def test_training_clips_of_flow_depend_on_the_generator_alone(counting_video, tmp_path):
    data = ClipDataset(data_of(counting_video), BOTH, augment=PRESETS["strong"], seed=3)
    one, same, other = data[(0, 0)].clips, data[(0, 0)].clips, data[(1, 0)].clips
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_flow_of_a_still_is_at_rest(still_image, one_frame_video, tmp_path):
    for path in (still_image, one_frame_video):
        for how in ({}, {"flow_cache": FlowCache(tmp_path, "dis")}):
            clips = ClipDataset(data_of(path), FLOW, **how)[0].clips
            assert (clips == 128).all()
