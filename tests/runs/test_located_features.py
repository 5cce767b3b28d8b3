"""Features of videos for networks that locate actions: kept, used again, and joined with the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.datasets.dataset import DataSet
from kinema.datasets.located import LocatedVideo
from kinema.inference.kept_features import KeptFeatures
from kinema.labels import Labels
from kinema.models import VARIANTS, build
from kinema.models.located.network import SegmentNetwork
from kinema.predictions import Failure, Segment
from kinema.runs.located_features import FOLDER, feature_folder, located_features, located_sequence
from kinema.types import Example, TimeSpan
from kinema.video.writer import VideoWriter


@pytest.fixture(scope="module")
def network() -> SegmentNetwork:
    torch.manual_seed(0)
    spec = VARIANTS["slow_fusion_tiny"].input.with_(sampling="dense", clip_len=6, size=(32, 32), fps=10.0)
    encoder = {"variant": "slow_fusion_tiny", "arguments": {"num_classes": 2}}
    small = {"width": 16, "levels": 3, "stem": 1, "heads": 2, "attention": 5}
    made = build("segments_one_stage", num_classes=2, spec=spec.to_json(), encoder=encoder, step_s=0.3, **small)
    assert isinstance(made, SegmentNetwork)
    return made


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[str]:
    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    made = []
    for number in range(3):
        made.append(str(folder / f"{number}.mp4"))
        with VideoWriter(made[-1], 10.0, size=(32, 32)) as writer:
            for _ in range(20 + number):
                writer.write(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
    return made


def test_killed_extraction_goes_on_where_it_stopped(network: SegmentNetwork, paths: list[str], tmp_path: Path):
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(located_features(network, paths, str(tmp_path), precision="f32", advance=stop))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert len(before) == 1
    found = list(located_features(network, paths, str(tmp_path), precision="f32"))
    assert all(path.stat().st_mtime_ns == changed for path, changed in before.items())
    fresh = list(located_features(network, paths, None, precision="f32"))
    for kept, again in zip(found, fresh, strict=True):
        assert isinstance(kept, KeptFeatures)
        assert isinstance(again, KeptFeatures)
        np.testing.assert_allclose(kept.rows, again.rows, atol=1e-5)  # batches differ, and with them the rounding
        np.testing.assert_array_equal(kept.spans_s, again.spans_s)


def test_another_step_or_other_weights_have_features_of_their_own(
    network: SegmentNetwork, paths: list[str], tmp_path: Path
):
    def kept() -> int:
        list(located_features(network, paths[:1], str(tmp_path), precision="f32"))
        return len(list(tmp_path.rglob("*.npy")))

    assert [kept(), kept()] == [1, 1]
    weight = next(network.encoder.parameters())
    before = weight.detach().clone()
    try:
        network.step_s = 0.5
        assert kept() == 2
        with torch.no_grad():
            weight.mul_(2)
        assert kept() == 3
    finally:
        network.step_s = 0.3
        with torch.no_grad():
            weight.copy_(before)


def test_a_video_that_cannot_be_read_does_not_stop_the_others(
    network: SegmentNetwork, paths: list[str], tmp_path: Path
):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    first, second = located_features(network, [str(broken), paths[0]], None, precision="f32")
    assert isinstance(first, Failure)
    assert isinstance(second, KeptFeatures)
    assert second.rows.shape == (len(second.spans_s), network.feature_dim)


def test_truth_in_seconds_becomes_positions():
    spans_s = np.array([[0.0, 2.0], [0.5, 2.5], [1.5, 3.5]])
    kept = KeptFeatures("a.mp4", np.zeros((3, 4), np.float32), spans_s, "")
    segments = (Segment(TimeSpan(1.0, 1.5), "b", 1.0), Segment(TimeSpan(1.25, 2.5), "a", 1.0))
    sequence = located_sequence(LocatedVideo("a.mp4", segments), kept, Labels(("a", "b")))
    np.testing.assert_allclose(sequence.times, [[0, 1], [0.5, 2]])
    assert sequence.classes.tolist() == [1, 0]
    assert located_sequence(LocatedVideo("a.mp4", ()), kept, Labels(("a", "b"))).times.shape == (0, 2)


def test_the_usual_folder_lies_beside_the_videos(tmp_path: Path):
    data = DataSet("set", str(tmp_path), (Example(str(tmp_path / "a.mp4"), ("a",)),), Labels(("a",)))
    assert feature_folder(None, data, make=False) is None
    assert feature_folder(None, data, make=True) == str(tmp_path / FOLDER)
    (tmp_path / FOLDER).mkdir(parents=True)
    assert feature_folder(None, data, make=False) == str(tmp_path / FOLDER)
    assert feature_folder("elsewhere", data, make=False) == "elsewhere"
