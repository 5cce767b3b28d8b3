"""Kept features: found again exactly when nothing they depend on has changed."""

from __future__ import annotations

import logging
import os
import shutil

import numpy as np
import pytest

from kinema.datasets.dataset import DataSet
from kinema.datasets.feature_cache import FeatureCache, is_kept, read_features, write_features
from kinema.errors import OutputError
from kinema.labels import Labels
from kinema.types import Example, TimeSpan


@pytest.fixture
def film(short_video, tmp_path):
    return shutil.copy(short_video, tmp_path / "film.mp4")


def data_of(*paths) -> DataSet:
    examples = tuple(Example(str(path), ("ab"[number % 2],)) for number, path in enumerate(paths))
    return DataSet("toy", "/toy", examples, Labels(("a", "b")))


def test_a_place_depends_on_video_span_view_and_network(film, tmp_path):
    cache = FeatureCache(tmp_path, "network")
    example = Example(film, ("a",))
    place = cache.place(example, "plain")
    assert place == FeatureCache(tmp_path, "network").place(Example(film, ("other",)), "plain")
    others = {
        cache.place(example, "drawn"),
        cache.place(Example(film, ("a",), TimeSpan(0, 1)), "plain"),
        FeatureCache(tmp_path, "another network").place(example, "plain"),
    }
    os.utime(film, (1, 1))
    others.add(cache.place(example, "plain"))
    assert len(others | {place}) == 5


def test_a_image_written_anew_has_another_place(tmp_path):
    (tmp_path / "1.png").write_bytes(b"x")
    os.utime(tmp_path, (1, 1))
    cache, example = FeatureCache(tmp_path / "kept", "network"), Example(str(tmp_path), ("a",))
    place = cache.place(example, "plain")
    os.utime(tmp_path / "1.png", (1, 1))
    assert cache.place(example, "plain") != place


def test_numbers_are_halved_where_they_fit_and_not_where_they_do_not(tmp_path):
    small, large = np.float32([[[1.0, -3.25]]]), np.float32([[[1.0, 70_000.0]]])
    write_features(tmp_path / "small.npy", small)
    write_features(tmp_path / "large.npy", large)
    assert read_features(tmp_path / "small.npy").dtype == np.float16
    assert np.array_equal(read_features(tmp_path / "small.npy"), small)
    assert np.array_equal(read_features(tmp_path / "large.npy"), large)


@pytest.mark.parametrize("damage", [b"", b"not numpy", None])
def test_damaged_features_count_as_missing(tmp_path, caplog, damage):
    path = tmp_path / "kept.npy"
    write_features(path, np.ones((1, 2, 50), np.float32))
    assert is_kept(path)
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    with caplog.at_level(logging.WARNING, "kinema"):
        assert not is_kept(path)
    assert "damaged" in caplog.text


def test_a_disk_that_takes_nothing_is_an_error_that_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_features(tmp_path / "file" / "kept.npy", np.ones((1, 2, 5), np.float32))
