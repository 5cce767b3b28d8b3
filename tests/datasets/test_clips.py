from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from kinema.clips.transforms import PRESETS, Augment
from kinema.datasets.cache import FrameCache
from kinema.datasets.clips import Broken, ClipDataset, Sample, Views, collate
from kinema.datasets.dataset import DataSet
from kinema.labels import Labels
from kinema.types import Example, InputSpec, TimeSpan

SPEC = InputSpec(clip_len=4, frame_stride=2, size=(64, 96), resize="stretch")
WHOLE = Augment(crop="center", flip=0.0)
LABELS = Labels(("no", "yes"))


def data_of(*examples: Example, multi_label: bool = False) -> DataSet:
    return DataSet("toy", "/toy", examples, LABELS, multi_label)


def counts(clip: torch.Tensor, read_count) -> list[int]:
    """The numbers that the frames of a view [c t h w] show."""
    return [read_count(frame) for frame in clip.permute(1, 2, 3, 0).numpy()]


@pytest.fixture
def film(counting_video) -> Example:
    return Example(str(counting_video), ("yes",))


def test_training_takes_one_random_clip_that_depends_on_seed_epoch_and_index_alone(film, read_count):
    data = ClipDataset(data_of(film, Example(film.path, ("no",), TimeSpan(0, 4))), SPEC, augment=WHOLE, seed=1)
    starts = [counts(data[epoch, 0].clips[0], read_count)[0] for epoch in range(12)]
    assert len(set(starts)) > 6
    data[0, 1]
    assert [counts(data[epoch, 0].clips[0], read_count)[0] for epoch in range(12)] == starts
    clip = data[3, 0].clips
    assert clip.shape == (1, 3, 4, 64, 96)
    assert clip.dtype == torch.uint8
    assert np.diff(counts(clip[0], read_count)).tolist() == [2, 2, 2]


def test_what_every_worker_needs_is_loaded_before_there_are_workers(film, monkeypatch):
    loaded = []
    monkeypatch.setattr("kinema.clips.pixels.load_torchvision", lambda: loaded.append("torchvision"))
    ClipDataset(data_of(film), SPEC, augment=WHOLE)
    ClipDataset(data_of(film), SPEC)
    assert loaded == []
    ClipDataset(data_of(film), SPEC, augment=PRESETS["standard"])
    assert loaded == ["torchvision"]


def test_evaluation_sees_evenly_spaced_clips_in_order(film, read_count):
    sample = ClipDataset(data_of(film), SPEC, views=Views(num_clips=3))[0]
    assert [counts(view, read_count) for view in sample.clips] == [[0, 2, 4, 6], [56, 58, 60, 62], [113, 115, 117, 119]]


def test_views_are_clips_times_crops_times_flips(film):
    spec = InputSpec(clip_len=2, size=(32, 32))
    views = Views(num_clips=2, num_crops=3, flips=True)
    clips = ClipDataset(data_of(film), spec, views=views)[0].clips
    assert len(clips) == len(views) == 12
    assert torch.equal(clips[3:6], clips[:3].flip(-1))


def test_clips_stay_inside_the_span_of_their_example(film, read_count):
    data = ClipDataset(data_of(Example(film.path, ("yes",), TimeSpan(1.0, 2.0))), SPEC, augment=WHOLE)
    seen = [number for epoch in range(10) for number in counts(data[epoch, 0].clips[0], read_count)]
    assert min(seen) >= 25
    assert max(seen) < 50


def test_a_short_video_repeats_its_last_frame(short_video, read_count):
    sample = ClipDataset(data_of(Example(str(short_video), ("yes",))), SPEC)[0]
    assert counts(sample.clips[0], read_count) == [0, 2, 4, 4]


def test_a_still_is_a_clip_of_one_frame(still_image, read_count):
    sample = ClipDataset(data_of(Example(str(still_image), ("yes",))), SPEC)[0]
    assert counts(sample.clips[0], read_count) == [7, 7, 7, 7]


@pytest.mark.parametrize("cached", [False, True])
def test_a_broken_file_is_reported_and_never_replaced(film, text_file, tmp_path, cached):
    cache = FrameCache(tmp_path) if cached else None
    gone = str(tmp_path / "gone.mp4")
    listed = data_of(Example(str(text_file), ("no",)), film, Example(gone, ("no",)))
    data = ClipDataset(listed, SPEC, augment=PRESETS["standard"], cache=cache)
    items = [data[0, index] for index in range(3)]
    assert isinstance(items[0], Broken)
    assert isinstance(items[1], Sample)
    assert items[2].key == gone
    batch = collate(items)
    assert batch.indices.tolist() == [1]
    assert [broken.index for broken in batch.broken] == [0, 2]
    assert str(text_file) in batch.broken[0].reason


def test_a_span_behind_the_end_is_broken(film):
    item = ClipDataset(data_of(Example(film.path, ("yes",), TimeSpan(60, 61))), SPEC)[0]
    assert isinstance(item, Broken)
    assert "ends at 4.8 s" in item.reason


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("augment", [WHOLE, None])
@pytest.mark.parametrize("spec", [SPEC, SPEC.with_(fps=10.0), SPEC.with_(sampling="spread")])
def test_a_span_in_which_the_last_frame_is_held_shows_it(held_video, read_count, tmp_path, spec, augment, cached):
    spans = [TimeSpan(3.0, 4.0), TimeSpan(2.2, 9.0), TimeSpan(4.5, 5.0)]
    listed = data_of(*(Example(str(held_video), ("yes",), span) for span in spans))
    data = ClipDataset(listed, spec, augment=augment, cache=FrameCache(tmp_path) if cached else None)
    for index in (0, 1):
        assert counts(data[index].clips[0], read_count) == [3, 3, 3, 3]
    assert isinstance(data[2], Broken)
    assert "no frame at 4.5 s: the video ends at 4.5 s" in data[2].reason


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("span", [None, TimeSpan(1.0, 4.5)])
def test_clips_at_a_rate_of_their_own_see_the_last_frame_for_as_long_as_it_stays(
    held_video, read_count, tmp_path, cached, span
):
    spec = SPEC.with_(fps=2.0, clip_len=2, frame_stride=1)
    listed, cache = data_of(Example(str(held_video), ("yes",), span)), FrameCache(tmp_path) if cached else None
    middle = ClipDataset(listed, spec, cache=cache)[0].clips[0]
    assert counts(middle, read_count) == [3, 3]
    drawn = ClipDataset(listed, spec, augment=WHOLE, cache=cache)
    seen = [tuple(counts(drawn[epoch, 0].clips[0], read_count)) for epoch in range(40)]
    assert seen.count((3, 3)) > 20  # five of six or of eight clips
    assert set(seen) - {(3, 3)} == ({(2, 3)} if span else {(0, 1), (1, 2), (2, 3)})


def test_the_last_frame_that_a_cache_has_does_not_stand_for_those_it_lacks(held_video, tmp_path):
    cache = FrameCache(tmp_path)
    data = ClipDataset(data_of(Example(str(held_video), ("yes",), TimeSpan(3.0, 4.0))), SPEC, cache=cache)
    data[0]
    (times,) = tmp_path.rglob("*.times.npy")
    frames = times.with_name(times.name.replace(".times", ""))
    for path in (frames, times):
        np.save(path, np.load(path)[:-1])
    assert isinstance(data[0], Broken)
    assert "no frame at 3 s: the video ends at 1.5 s" in data[0].reason


def test_a_batch_of_broken_examples_has_no_rows(text_file):
    data = ClipDataset(data_of(Example(str(text_file), ("no",))), SPEC)
    batch = collate([data[0]])
    assert len(batch) == len(batch.clips) == 0
    assert len(batch.broken) == 1


def test_rows_of_a_batch_know_their_example_and_target(film, short_video):
    data = ClipDataset(data_of(film, Example(str(short_video), ("no",))), SPEC, views=Views(2))
    batch = collate([data[1], data[0]])
    assert batch.indices.tolist() == [1, 1, 0, 0]
    assert batch.targets.tolist() == [0, 0, 1, 1]
    assert batch.targets.dtype == batch.indices.dtype == torch.int64


def test_targets_of_several_labels_are_multi_hot(film, short_video):
    both = data_of(Example(film.path, ("yes", "no")), Example(str(short_video), ("yes",)), multi_label=True)
    batch = collate([ClipDataset(both, SPEC)[index] for index in range(2)])
    assert batch.targets.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert batch.targets.dtype == torch.float32


def test_workers_see_what_one_process_sees(film, short_video):
    data = ClipDataset(data_of(film, Example(str(short_video), ("no",))), SPEC, augment=PRESETS["strong"])
    keys = [(epoch, index) for epoch in range(2) for index in range(2)]
    loader = DataLoader(
        data, batch_sampler=[keys[:2], keys[2:]], num_workers=1, collate_fn=collate, multiprocessing_context="spawn"
    )
    for batch, wanted in zip(loader, (keys[:2], keys[2:]), strict=True):
        assert torch.equal(batch.clips, collate([data[key] for key in wanted]).clips)


def test_a_training_clip_can_be_spread_over_a_part_of_the_video(film, read_count):
    spec = InputSpec(clip_len=4, size=(64, 96), resize="stretch", sampling="spread")
    spans = []
    for time_scale in (1.0, 0.3):
        data = ClipDataset(data_of(film), spec, augment=replace(WHOLE, time_scale=time_scale))
        seen = [counts(data[epoch, 0].clips[0], read_count) for epoch in range(20)]
        spans.append([numbers[-1] - numbers[0] for numbers in seen])
    assert min(spans[0]) > 60 - 1  # one frame in the first quarter of 120 and one in the last
    assert min(spans[1]) < 45
