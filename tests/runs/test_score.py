"""Every example of a data set is scored or named as broken, and the network stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.dataset import DataSet
from kinema.engines.scorer import Scorer
from kinema.labels import Labels
from kinema.runs.options import ScoringOptions
from kinema.runs.score import score_data
from kinema.types import Example


@pytest.fixture
def network(make_predictor):
    return make_predictor().network


def data_of(paths: list[Path]) -> DataSet:
    examples = tuple(Example(str(path), ("a",), None, None) for path in paths)
    return DataSet("videos", "videos", examples, Labels(("a", "b")))


def options(**changes: object) -> ScoringOptions:
    return ScoringOptions(**{"workers": 0, "device": "cpu", "precision": "f32", **changes})


@pytest.fixture
def levels(write_frames, tmp_path) -> list[Path]:
    """A dark video, a light one, and two more."""
    frames = [[np.full((32, 48, 3), level, np.uint8)] * 12 for level in (20, 230, 220, 30)]
    return [write_frames(tmp_path / f"{number}.mp4", video) for number, video in enumerate(frames)]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_example_is_scored_or_named_as_broken(network, two_part_film, counting_video, text_file, workers) -> None:
    done: list[int] = []
    data = data_of([two_part_film, text_file, counting_video])
    scored = score_data(network, data, options(clips=3, batch_size=4, workers=workers), done.append)
    assert sorted(scored.logits) == [0, 2]
    assert scored.logits[0].shape == (3, 2)
    assert list(scored.broken) == [1]
    assert sum(done) == 3


def test_every_row_keeps_its_index(network, levels, text_file) -> None:
    scored = score_data(network, data_of([levels[0], text_file, *levels[1:]]), options(batch_size=2))
    assert {index: int(rows.mean(axis=0).argmax()) for index, rows in scored.logits.items()} == {0: 0, 2: 1, 3: 1, 4: 0}


def test_a_batch_of_broken_files_only_is_passed_over(network, text_file, empty_file) -> None:
    done: list[int] = []
    scored = score_data(network, data_of([text_file, empty_file]), options(), done.append)
    assert scored.logits == {}
    assert sorted(scored.broken) == [0, 1]
    assert sum(done) == 2


def test_the_network_is_left_as_it_was(network, levels) -> None:
    network.train()
    before = [parameter.stride() for parameter in network.parameters()]
    score_data(network, data_of(levels), options())
    assert network.training
    assert [parameter.stride() for parameter in network.parameters()] == before
    assert all(not parameter.is_inference() and parameter.requires_grad for parameter in network.parameters())


def test_a_scorer_keeps_its_own_batch_size_and_precision(network, levels) -> None:
    scorer = Scorer(network, device="cpu", precision="bf16", batch_size=1)
    found = score_data(scorer, data_of(levels), options(clips=3))
    exact = score_data(network, data_of(levels), options(clips=3))
    assert network.largest_batch > 1  # of the second run
    for index, rows in exact.logits.items():
        np.testing.assert_allclose(found.logits[index], rows, atol=0.05)
    assert any((found.logits[index] != rows).any() for index, rows in exact.logits.items())
