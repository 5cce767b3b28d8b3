"""Actions located by a classifier's dense scores and by networks for located actions, on videos that the tests draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.errors import CheckpointError, ConfigError, EmptyVideo, UnknownClass, UsageError
from kinema.inference.localizer import LEAST_SCORE, Localizer, dense_step, grouping_of, with_threshold
from kinema.inference.options import LocalizeOptions
from kinema.inference.predictor import Predictor
from kinema.localization.grouping import GroupingOptions, group_segments
from kinema.models import VARIANTS, build
from kinema.predictions import Failure
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard

CHANGES_S = (0.0, 4.0, 9.2, 12.0)
"""Dark, light, dark."""


def _level(time_s: float) -> int:
    return 220 if CHANGES_S[1] <= time_s < CHANGES_S[2] else 30


@pytest.fixture(scope="module")
def same_video(tmp_path_factory, write_frames: Callable[..., Path]) -> dict[str, Path]:
    """One video at several frame rates, and with frames at uneven times."""
    folder = tmp_path_factory.mktemp("rates")
    uneven = np.cumsum(np.random.default_rng(0).choice([20, 40, 60, 80, 100], 400))
    times_ms = {"10": range(0, 12000, 100), "25": range(0, 12000, 40), "30": [round(i * 1000 / 30) for i in range(360)]}
    times_ms["vfr"] = sorted({0, 4000, 9200, 11960, *uneven[uneven < 11900].tolist()})
    paths = {}
    for name, times in times_ms.items():
        frames = [np.full((32, 48, 3), _level(time / 1000), np.uint8) for time in times]
        how = {"times_ms": list(times)} if name == "vfr" else {"fps": float(name)}
        paths[name] = write_frames(folder / f"{name}.mp4", frames, **how)
    return paths


@pytest.mark.parametrize(
    "changes",
    [{}, {"fps": 10.0, "frame_stride": 1}, {"sampling": "spread", "window_s": 2.0, "clip_len": 16, "fps": 25.0}],
)
def test_borders_are_where_the_video_changes_at_any_frame_rate(make_predictor, same_video, changes) -> None:
    borders = {}
    for name, path in same_video.items():
        found = make_predictor(**changes).localize(path)
        assert [segment.label for segment in found.segments] == ["dark", "light", "dark"]
        assert all(one.span.end_s == other.span.start_s for one, other in pairwise(found.segments))
        borders[name] = [segment.span.start_s for segment in found.segments[1:]]
        np.testing.assert_allclose(borders[name], CHANGES_S[1:3], atol=0.1)
    values = np.array(list(borders.values()))
    assert np.ptp(values, axis=0).max() < 0.1


def test_the_answer_is_the_timeline_grouped_as_the_card_says(make_predictor, two_part_film) -> None:
    predictor = make_predictor()
    assert predictor.localize(two_part_film).way == "clips"
    grouping = GroupingOptions(background=("dark",), smoothing_s=0.2)
    predictor.card = replace(predictor.card, grouping=grouping)
    found = predictor.localize(two_part_film)
    assert [segment.label for segment in found.segments] == ["light"]
    assert found.segments == group_segments(found.prediction.timeline, grouping, refine=True)
    # a given option replaces that of the card, and leaves the others
    assert [one.label for one in predictor.localize(two_part_film, background=("light",)).segments] == ["dark"]
    assert predictor.localize(two_part_film, threshold=1.01).segments == ()
    assert [one.span.duration_s for one in predictor.localize(two_part_film, min_segment_s=3.0).segments] == [4.0]


def test_without_settings_the_class_for_no_action_is_not_answered() -> None:
    card = ModelCard("x", {}, ("background", "wave"))
    assert grouping_of(card, LocalizeOptions()) == GroupingOptions(background=("background",))
    named = replace(card, labels=("idle", "wave"), training={"background": "idle"})
    assert grouping_of(named, LocalizeOptions()).background == ("idle",)
    several = grouping_of(replace(card, multi_label=True), LocalizeOptions())
    assert (several.method, several.scores, several.enter) == ("hysteresis", "sigmoid", 0.5)


def test_a_threshold_fits_the_method() -> None:
    assert with_threshold(GroupingOptions(), 0.7).least_score == 0.7
    hysteresis = GroupingOptions(method="hysteresis", enter=0.8, leave=0.4, by_class={"a": (0.3, 0.2)})
    changed = with_threshold(hysteresis, 0.6)
    assert (changed.enter, changed.leave, dict(changed.by_class)) == (0.6, pytest.approx(0.3), {})


def test_several_labels_at_one_time_overlap(make_predictor, two_part_film) -> None:
    predictor = make_predictor()
    predictor.card = replace(predictor.card, multi_label=True)
    found = predictor.localize(two_part_film, threshold=0.05)
    assert {segment.label for segment in found.segments} == {"dark", "light"}
    assert any(a.span.end_s > b.span.start_s for a, b in pairwise(found.segments))


def test_files_that_cannot_be_read_do_not_end_the_others(
    make_predictor, two_part_film, text_file, zero_frame_video
) -> None:
    outcomes = list(make_predictor().localize_many([text_file, two_part_film, zero_frame_video], name="runs/a"))
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [True, False, True]
    assert outcomes[1].model == "runs/a"
    with pytest.raises(EmptyVideo):
        make_predictor().localize(zero_frame_video)


def test_wrong_requests_are_one_clear_line(make_predictor, two_part_film) -> None:
    predictor = make_predictor()
    with pytest.raises(UnknownClass, match="Did you mean light"):
        predictor.localize(two_part_film, background=("ligth",))
    with pytest.raises(UsageError, match="--feature-cache"):
        predictor.localize(two_part_film, feature_cache="features")
    with pytest.raises(ConfigError, match="--smooth"):
        LocalizeOptions(smoothing_s=-1.0)
    predictor.card = replace(predictor.card, task="boxes")
    with pytest.raises(UsageError, match="task boxes"):
        Localizer(predictor)


def test_scores_that_are_no_numbers_are_an_error(make_predictor, two_part_film) -> None:
    predictor = make_predictor()
    torch.nn.init.constant_(predictor.network.classifier.weight, float("nan"))
    with pytest.raises(CheckpointError, match="not numbers"):
        predictor.localize(two_part_film)


def test_the_step_follows_the_length_of_a_clip() -> None:
    assert dense_step(InputSpec(clip_len=8, frame_stride=8)) == pytest.approx(57 / 25 / 8)
    assert dense_step(InputSpec(clip_len=1)) == 0.1
    assert dense_step(InputSpec(sampling="spread", window_s=20.0)) == 0.5


# Networks for located actions


@pytest.fixture(scope="module")
def segment_network() -> tuple:
    torch.manual_seed(0)
    small = {"width": 16, "levels": 3, "stem": 1, "heads": 2, "attention": 5, "step_s": 0.2}
    encoder = {"variant": "slow_fusion_tiny", "arguments": {"num_classes": 5}}
    spec = VARIANTS["slow_fusion_tiny"].input.with_(window_s=1.0).to_json()
    network = build("segments_one_stage", num_classes=3, spec=spec, encoder=encoder, **small).eval()
    return network, ModelCard.of(network, ("a", "b", "c"), task="segments", multi_label=True)


@pytest.fixture
def segment_predictor(segment_network) -> Predictor:
    return Predictor(*segment_network, device="cpu", precision="f32")


def test_a_network_for_located_actions_sees_the_features_of_the_whole_video(segment_predictor, two_part_film) -> None:
    features, spans_s = segment_predictor.features(two_part_film, step_s=0.2)
    expected = segment_predictor.network.locate(features, spans_s)
    found = segment_predictor.localize(two_part_film, threshold=0.0)
    assert found.way == "one-stage"
    assert len(found.segments) == len(expected) > 0
    assert sorted(one.score for one in found.segments) == pytest.approx(sorted(expected.scores.tolist()))
    assert [one.span for one in found.segments] == sorted(one.span for one in found.segments)
    assert found.prediction.scores.max() == pytest.approx(expected.scores.max())
    least = segment_predictor.localize(two_part_film).segments
    assert len(least) == int((expected.scores >= LEAST_SCORE).sum())
    labels = {one.label for one in segment_predictor.localize(two_part_film, threshold=0.0, background=("a",)).segments}
    assert "a" not in labels


def test_kept_features_give_the_same_segments_without_the_encoder(segment_predictor, two_part_film, tmp_path) -> None:
    fresh = segment_predictor.localize(two_part_film, threshold=0.0)
    kept = [segment_predictor.localize(two_part_film, threshold=0.0, feature_cache=str(tmp_path)) for _ in range(2)]
    assert fresh.segments == kept[0].segments == kept[1].segments
    assert len(list(tmp_path.rglob("*.npy"))) == 1


def test_options_of_classifiers_are_refused(segment_predictor, two_part_film) -> None:
    with pytest.raises(UsageError, match="--smooth, --step"):
        segment_predictor.localize(two_part_film, smoothing_s=1.0, step_s=0.5)
    with pytest.raises(UsageError, match="locates actions itself"):
        Localizer(segment_predictor).timelines([str(two_part_film)], LocalizeOptions())
    with pytest.raises(UsageError, match="kinema localize"):
        segment_predictor(two_part_film)
    with pytest.raises(UsageError, match="in torch"):
        Predictor(segment_predictor.network, segment_predictor.card, engine="openvino")
