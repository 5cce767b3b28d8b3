from __future__ import annotations

import numpy as np
import pytest

from kinema.errors import ConfigError, DataError
from kinema.evaluation import VideoScores
from kinema.evaluation.protocols import Protocol, average_networks


def scores(key: str, target: int, *rows: list[float]) -> VideoScores:
    return VideoScores(key, target, np.array(rows, dtype=np.float32))


@pytest.mark.parametrize("name", ["1x1", "10x3", "5x1 flipped"])
def test_a_name_reads_back_as_itself(name: str) -> None:
    assert Protocol.parse(name).name == name


def test_flips_double_the_views() -> None:
    assert Protocol(10, 3, flips=True).num_views == 60


@pytest.mark.parametrize("name", ["10", "x3", "10x2", "0x1"])
def test_a_wrong_name_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError):
        Protocol.parse(name)


def test_networks_with_the_same_views_are_averaged_view_by_view() -> None:
    one, two = [scores("a", 0, [1, 0], [0, 1])], [scores("a", 0, [0, 1], [0, 1])]
    assert average_networks([one, two])[0].scores.tolist() == [[0.5, 0.5], [0.0, 1.0]]


def test_networks_with_other_views_are_averaged_by_video() -> None:
    one, two = [scores("a", 0, [1, 0], [0, 1])], [scores("a", 0, [0, 1])]
    assert average_networks([one, two], weights=[3, 1])[0].scores.tolist() == [[0.375, 0.625]]


def test_only_videos_that_all_networks_scored_are_kept() -> None:
    one, two = [scores("a", 0, [1, 0]), scores("b", 1, [1, 0])], [scores("b", 1, [0, 1])]
    assert [video.key for video in average_networks([one, two])] == ["b"]
    with pytest.raises(DataError, match="no video in common"):
        average_networks([one[:1], two])


def test_networks_that_disagree_on_the_truth_are_an_error() -> None:
    with pytest.raises(DataError, match="do not agree"):
        average_networks([[scores("a", 0, [1, 0])], [scores("a", 1, [1, 0])]])


def test_an_average_still_knows_where_a_video_comes_from() -> None:
    video = VideoScores("a", 0, np.array([[1, 0]], np.float32), group="film")
    assert average_networks([[video], [video]])[0].group == "film"
