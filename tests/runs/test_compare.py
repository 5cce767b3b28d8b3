"""A comparison without trainings: settings of each network, gains and losses of classes, and rows of a table."""

from __future__ import annotations

import numpy as np
import pytest

from kinema import models
from kinema.errors import UnknownName
from kinema.evaluation import Evaluation, VideoScores, evaluate_scores
from kinema.labels import Labels
from kinema.runs.compare import (
    CompareConfig,
    NetworkResult,
    average_evaluation,
    check_networks,
    class_changes,
    learned_mirrored,
    settings_for,
    worth_of_time,
)
from kinema.weights.checkpoint import ModelCard

LABELS = Labels(("a", "b"))


def judged(*predicted: int) -> Evaluation:
    """Four videos, two of each class."""
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    videos = [VideoScores(f"{n}.mp4", n // 2, scores[[guess]]) for n, guess in enumerate(predicted)]
    return evaluate_scores(videos, LABELS)


def test_each_network_gets_the_settings_that_it_can_use():
    config = CompareConfig(clip_len=6, flow_method="dis", epochs=3)
    single, rgb, flow = (settings_for(n, config) for n in ("single_frame", "slow_fusion", "temporal_stream_small"))
    assert (single.clip_len, rgb.clip_len, flow.clip_len) == (None, 6, 6)
    assert (rgb.flow_method, flow.flow_method) == (None, "dis")
    assert single.epochs == rgb.epochs == 3


def test_a_misspelt_network_is_found_before_the_first_is_trained():
    with pytest.raises(UnknownName, match="slow_fusion_tiny"):
        check_networks(["single_frame_tiny", "slow_fusion_tinny"], CompareConfig())


def test_gains_and_losses_are_those_of_the_recall_of_classes():
    base, other = judged(0, 1, 0, 1), judged(0, 0, 0, 0)
    assert class_changes(base, other) == [("a", 0.5), ("b", -0.5)]
    (line,) = worth_of_time([NetworkResult("one", base), NetworkResult("two", other)])
    assert line == "two: gains a +50%; losses b -50%"


def test_the_average_judges_mean_scores():
    # 0.9 for the right class beats 0.8 for the wrong one.
    assert average_evaluation([judged(0, 0, 0, 0), judged(1, 1, 1, 1)]).figures["video_hit_at_1"] == 0.5


def test_a_result_has_empty_cells_for_what_is_not_known():
    known = NetworkResult("n", judged(0, 0, 1, 1), params=1_500_000, macs=2_000_000_000, clips_per_s=12.34)
    assert known.cells() == ["n", "100.0%", "100.0%", "100.0%", "100.0%", "1.50M", "2.000", "12.3"]
    assert NetworkResult("n", judged(0, 0, 1, 1)).cells()[-3:] == ["", "", ""]
    assert known.to_json() | {"interval": 0} == {
        "name": "n", "clip_hit_at_1": 1, "video_hit_at_1": 1, "video_hit_at_5": 1, "macro_f1": 1, "interval": 0,
        "params": 1_500_000, "macs": 2_000_000_000, "clips_per_s": 12.34,
    }  # fmt: skip


def test_networks_count_as_trained_on_mirrored_clips_if_their_card_says_so():
    card = ModelCard.of(models.build("slow_fusion_tiny", num_classes=2), ("a", "b"))
    given = ({}, {"augment": "standard"}, {"augment": "none"}, {"augment": "standard", "flip": 0.0}, {"flip": 0.5})
    found = [learned_mirrored(ModelCard(card.variant, {}, card.labels, training=training)) for training in given]
    assert found == [False, True, False, False, True]
