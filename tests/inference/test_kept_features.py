from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import CheckpointError, VideoError
from kinema.inference.features import VideoFeatures
from kinema.inference.kept_features import KeptFeatures, kept_features, network_identity
from kinema.models import build
from kinema.predictions import Failure

DIM = 4


class Extractor:
    """Gives features that depend on the name; fails for "bad", is killed after `most` videos."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.seen = most, []

    def __call__(self, paths: Sequence[str]) -> Iterator[VideoFeatures | Failure]:
        for path in paths:
            if len(self.seen) == self.most:
                raise KeyboardInterrupt
            self.seen.append(Path(path).name)
            if Path(path).name == "bad":
                yield Failure(path, VideoError("no video", path))
                continue
            rows = tempfile.SpooledTemporaryFile()  # noqa: SIM115
            rows.write(_expected(path).tobytes())
            spans_s = np.array([[0.0, 1.0], [0.5, 1.5], [1.0, 1 / 3 + 2]])
            yield VideoFeatures(path, spans_s, DIM, "cut off", rows)


def _expected(path: str) -> np.ndarray:
    return np.random.default_rng(len(path) + ord(path[-1])).standard_normal((3, DIM)).astype(np.float32)


@pytest.fixture
def videos(tmp_path) -> list[str]:
    paths = [tmp_path / "videos" / name for name in ("a", "bad", "b", "c", "missing")]
    paths[0].parent.mkdir()
    for path in paths[:-1]:
        path.write_text(path.name)
    return [str(path) for path in paths[:-1]]


@pytest.mark.parametrize("keeps", [True, False])
def test_features_come_in_the_order_of_the_videos(videos, tmp_path, keeps) -> None:
    folder = str(tmp_path / "kept") if keeps else None
    for run in range(2):
        extract = Extractor()
        found = list(kept_features(extract, videos, "net", DIM, folder))
        assert [Path(one.path).name for one in found] == ["a", "bad", "b", "c"]
        assert isinstance(found[1], Failure)
        assert extract.seen == (["bad"] if keeps and run else ["a", "bad", "b", "c"])


def test_rows_and_times_are_exact(videos, tmp_path) -> None:
    for _ in range(2):
        first = next(kept_features(Extractor(), videos, "net", DIM, str(tmp_path / "kept")))
        assert isinstance(first, KeptFeatures)
        np.testing.assert_array_equal(first.rows, _expected(videos[0]))
        assert first.spans_s[2, 1] == 1 / 3 + 2
        assert first.damage == "cut off"


def test_a_run_that_is_stopped_again_and_again_continues(videos, tmp_path) -> None:
    folder, computed = str(tmp_path / "kept"), []
    for _ in range(10):
        extract = Extractor(most=2)
        try:
            found = list(kept_features(extract, videos, "net", DIM, folder))
            break
        except KeyboardInterrupt:
            computed += extract.seen
    assert len(found) == 4
    assert computed.count("a") == computed.count("b") == 1
    assert not [path for path in Path(folder).rglob(".*") if path.is_file()]


def test_another_network_or_a_changed_video_is_computed_again(videos, tmp_path) -> None:
    folder = str(tmp_path / "kept")
    list(kept_features(Extractor(), videos, "net", DIM, folder))
    extract = Extractor()
    list(kept_features(extract, videos, "other net", DIM, folder))
    assert len(extract.seen) == 4
    Path(videos[0]).write_text("another video")
    extract = Extractor()
    list(kept_features(extract, videos, "net", DIM, folder))
    assert extract.seen == ["a", "bad"]


def test_features_that_do_not_fit_are_an_error_that_names_the_file(videos, tmp_path) -> None:
    folder = tmp_path / "kept"
    list(kept_features(Extractor(), videos[:1], "net", DIM, str(folder)))
    with pytest.raises(CheckpointError, match="another network"):
        list(kept_features(Extractor(), videos[:1], "net", DIM + 1, str(folder)))
    (about,) = folder.rglob("*.json")
    values = json.loads(about.read_text())
    about.write_text(json.dumps({**values, "identity": "another"}))
    with pytest.raises(CheckpointError, match=r"another network.*npy"):
        list(kept_features(Extractor(), videos[:1], "net", DIM, str(folder)))
    about.write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        list(kept_features(Extractor(), videos[:1], "net", DIM, str(folder)))


def test_the_identity_depends_on_weights_and_input() -> None:
    import torch

    torch.manual_seed(0)
    network = build("single_frame_tiny", num_classes=2)
    first = network_identity(network)
    assert network_identity(network) == first
    with torch.no_grad():
        next(network.parameters()).flatten()[0] += 1e-3
    assert network_identity(network) != first
