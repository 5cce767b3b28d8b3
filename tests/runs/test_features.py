"""Kept features: each view is computed once, and scores like the video itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kinema import models
from kinema.datasets.clips import ClipDataset, Views
from kinema.datasets.dataset import DataSet
from kinema.datasets.feature_cache import FeatureCache
from kinema.datasets.features import FeatureDataset
from kinema.engines.scorer import Scorer
from kinema.labels import Labels
from kinema.runs.features import keep_features, missing_jobs, score_features
from kinema.runs.options import ScoringOptions
from kinema.runs.score import score_data
from kinema.types import Example


@pytest.fixture
def network() -> models.Network:
    torch.manual_seed(0)
    return models.build("slow_fusion_tiny", num_classes=2, spec={"size": (24, 24), "clip_len": 8}).eval()


@pytest.fixture
def data(counting_video: Path, short_video: Path, text_file: Path) -> DataSet:
    paths = (counting_video, text_file, short_video)
    return DataSet("videos", ".", tuple(Example(str(path), ("a",)) for path in paths), Labels(("a", "b")))


def test_views_are_computed_once_and_score_like_their_clips(network, data, tmp_path):
    scorer = Scorer(network, device="cpu", precision="f32", batch_size=4)

    def opened() -> FeatureDataset:
        clips = ClipDataset(data, network.spec, views=Views(2))
        return FeatureDataset(clips, FeatureCache(tmp_path, "network"))

    kept, done = opened(), []
    assert len(missing_jobs(kept)) == 3
    keep_features(scorer, kept, missing_jobs(kept), workers=0, advance=done.append)
    assert sum(done) == 3
    assert list(kept.broken) == [1]
    again = opened()
    assert [index for _, index in missing_jobs(again)] == [1], "only the broken file has no features"
    keep_features(scorer, again, missing_jobs(again), workers=0)

    found = score_features(scorer, again)
    exact = score_data(network, data, ScoringOptions(clips=2, workers=0, device="cpu", precision="f32"))
    assert list(found.broken) == list(exact.broken) == [1]
    assert sorted(found.logits) == sorted(exact.logits) == [0, 2]
    for index, rows in exact.logits.items():
        np.testing.assert_allclose(found.logits[index], rows, atol=1e-4)
