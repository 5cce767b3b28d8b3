"""Kept features: found again exactly when nothing they depend on has changed."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.clips.transforms import PRESETS
from kinema.datasets.clips import Broken, ClipDataset, Views
from kinema.datasets.dataset import DataSet
from kinema.datasets.feature_cache import FeatureCache, write_features
from kinema.datasets.features import DrawnViews, FeatureDataset, FeatureSample, collate_features
from kinema.labels import Labels
from kinema.types import Example, InputSpec

SPEC = InputSpec(clip_len=3, size=(16, 16), mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.fixture
def film(short_video, tmp_path):
    return shutil.copy(short_video, tmp_path / "film.mp4")


def data_of(*paths) -> DataSet:
    examples = tuple(Example(str(path), ("ab"[number % 2],)) for number, path in enumerate(paths))
    return DataSet("toy", "/toy", examples, Labels(("a", "b")))


@pytest.fixture
def kept(film, tmp_path):
    """Two films with three views each, the features of which say which view of which film they are."""
    other = shutil.copy(film, tmp_path / "other.mp4")
    data = data_of(film, other)
    drawn = DrawnViews(data, SPEC, augment=PRESETS["standard"], seed=3)
    dataset = FeatureDataset(
        ClipDataset(data, SPEC, seed=3), FeatureCache(tmp_path / "kept", "x"), drawn=drawn, num_views=3
    )
    for view, index in dataset.jobs():
        assert dataset.is_missing((view, index))
        write_features(dataset.place((view, index)), np.full((1, 2 + index, 4), 10 * view + index, np.float32))
    return dataset


def test_every_view_has_a_place_and_epochs_draw_among_them(kept):
    assert len(kept.jobs()) == len({kept.place(job) for job in kept.jobs()}) == 6
    assert not any(kept.is_missing(job) for job in kept.jobs())
    drawn = [[int(kept[(epoch, index)].features[0, 0, 0]) for epoch in range(30)] for index in (0, 1)]
    assert set(drawn[0]) == {0, 10, 20}
    assert set(drawn[1]) == {1, 11, 21}
    assert [int(kept[(epoch, 0)].features[0, 0, 0]) for epoch in range(30)] == drawn[0], "the same epoch draws the same"


def test_view_0_is_what_evaluation_sees_and_others_are_drawn(kept):
    plain, again, other = (kept.clips((view, 0)).clips for view in (0, 1, 2))
    assert torch.equal(plain, ClipDataset(kept.data, SPEC)[0].clips)
    assert not torch.equal(again, other)


def test_what_is_drawn_does_not_depend_on_the_division_of_the_data(film, tmp_path):
    other = shutil.copy(film, tmp_path / "other.mp4")
    listings = (data_of(film, other), data_of(other, film))
    first, second = (DrawnViews(data, SPEC, augment=PRESETS["standard"], seed=3) for data in listings)
    assert torch.equal(first[(2, 0)].clips, second[(2, 1)].clips)


def test_batches_pad_shorter_features_and_say_how_long_they_were(kept):
    batch = collate_features([kept[(0, 0)], Broken(7, "key", "why"), kept[(0, 1)]])
    assert batch.features.shape == (2, 3, 4)
    assert batch.lengths.tolist() == [2, 3]
    assert not batch.features[0, 2].any()
    assert (batch.indices.tolist(), batch.targets.tolist(), len(batch.broken)) == ([0, 1], [0, 1], 1)
    assert collate_features([kept[(0, 0)], kept[(1, 0)]]).lengths is None
    assert len(collate_features([Broken(7, "key", "why")])) == 0


def test_several_views_of_an_example_are_several_rows():
    batch = collate_features([FeatureSample(torch.ones(3, 2, 4), 1, 5), FeatureSample(torch.ones(1, 2, 4), 0, 6)])
    assert batch.indices.tolist() == [5, 5, 5, 6]
    assert batch.targets.tolist() == [1, 1, 1, 0]


def test_views_of_another_protocol_are_other_features(film, tmp_path):
    cache = FeatureCache(tmp_path, "x")
    one, two = (FeatureDataset(ClipDataset(data_of(film), SPEC, views=Views(count)), cache) for count in (1, 2))
    assert one.place((0, 0)) != two.place((0, 0))


def test_an_example_without_features_comes_out_as_broken(film, tmp_path):
    dataset = FeatureDataset(ClipDataset(data_of(film), SPEC), FeatureCache(tmp_path, "x"))
    assert "cached features" in dataset[0].reason
    missing = FeatureDataset(ClipDataset(data_of(tmp_path / "none.mp4"), SPEC), FeatureCache(tmp_path, "x"))
    assert missing.is_missing((0, 0))
    missing.broken[0] = "gone"
    assert missing[0] == Broken(0, str(tmp_path / "none.mp4"), "gone")


def test_pictures_of_another_rate_have_features_of_their_own(kept, tmp_path):
    other = FeatureDataset(
        ClipDataset(replace(kept.data, image_fps=10.0), SPEC, seed=3), FeatureCache(tmp_path / "kept", "x")
    )
    assert other.is_missing((0, 0))
    assert not kept.is_missing((0, 0))
