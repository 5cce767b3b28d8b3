"""Settings of segments chosen on drawn timelines with truth."""

import logging

import numpy as np
import pytest
from scipy.io import loadmat

from kinema.errors import DataError
from kinema.evaluation.framewise import runs_of
from kinema.evaluation.located.measures import edit_and_f1, mean_average_precision
from kinema.evaluation.located.segmental import segmental_scores
from kinema.localization.choose import change_factors, choose_grouping, score_kind
from kinema.localization.grouping import GroupingOptions, group_segments
from kinema.predictions import Segment, Timeline
from kinema.types import TimeSpan


def videos(seed: int, number: int = 6, noise: float = 1.2) -> tuple[dict[str, Timeline], dict[str, list[Segment]]]:
    """Margins of the classes none, a, b, c; a is always followed by b, and b by c."""
    rng = np.random.default_rng(seed)
    timelines, truth = {}, {}
    for video in range(number):
        labels: list[int] = []
        segments = []
        for label in [0, *np.concatenate([[1, 2, 3, 0] for _ in range(rng.integers(1, 3))])]:
            length = int(rng.integers(6, 12))
            if label:
                segments.append(Segment(TimeSpan(len(labels), len(labels) + length), "_abc"[label], 1.0))
            labels += [int(label)] * length
        margins = np.eye(4)[labels] * 2 - 1 + rng.normal(size=(len(labels), 4)) * noise
        spans = np.arange(len(labels))[:, None] + np.array([0.0, 1.0])
        raw = margins.astype(np.float32)
        timelines[f"{seed} {video}"] = Timeline(raw, spans.mean(axis=1), spans, ("_", "a", "b", "c"), raw)
        truth[f"{seed} {video}"] = segments
    return timelines, truth


@pytest.fixture(scope="module")
def chosen() -> GroupingOptions:
    return choose_grouping(*videos(0), edit_and_f1, background=["_"])


def test_chosen_settings_are_far_better_than_argmax_on_other_videos(chosen):
    timelines, truth = videos(1)
    plain = GroupingOptions(scores="margin", background=("_",))
    measured = [
        edit_and_f1(truth, {name: group_segments(track, options) for name, track in timelines.items()})
        for options in (plain, chosen)
    ]
    assert measured[0] < 0.4
    assert measured[1] > 0.8


def test_settings_say_what_they_reach(chosen, caplog):
    assert chosen.origin.plain < 0.4
    assert chosen.origin.reached > 0.8
    assert (chosen.origin.measure, chosen.origin.num_videos) == ("edit_and_f1", 6)
    assert "plain argmax 0." in str(chosen.origin)


def test_no_answer_is_the_background(chosen):
    timelines, _ = videos(2)
    assert {s.label for track in timelines.values() for s in group_segments(track, chosen)} == {"a", "b", "c"}


def test_the_choice_is_the_same_each_time_and_logged(caplog):
    timelines, truth = videos(3, 2)
    with caplog.at_level(logging.INFO, "kinema"):
        first = choose_grouping(timelines, truth, mean_average_precision, background=["_"])
    assert "on 2 videos" in caplog.text
    assert choose_grouping(dict(reversed(timelines.items())), truth, mean_average_precision, background=["_"]) == first


def test_a_video_without_an_action_gets_no_segment(chosen):
    rng = np.random.default_rng(0)
    raw = (np.eye(4)[np.zeros(40, int)] * 2 - 1 + rng.normal(size=(40, 4)) * 0.8).astype(np.float32)
    spans = np.arange(40)[:, None] + np.array([0.0, 1.0])
    assert group_segments(Timeline(raw, spans.mean(axis=1), spans, ("_", "a", "b", "c"), raw), chosen) == ()


def test_usual_changes_cost_less():
    factors = np.array(change_factors([np.array([0, 0, 1, 1, -1, 2, 0, 1])] * 5, 3, 1.0))
    assert factors[0, 1] < 1.1
    assert factors[0, 2] > 3
    assert np.array_equal(change_factors([np.array([0, 1])], 3, 0.0), np.ones((3, 3)))
    assert np.array_equal(change_factors([], 2, 1.0), np.ones((2, 2)))


def test_kinds_of_scores():
    timelines, _ = videos(0, 1)
    assert score_kind(timelines.values()) == "margin"
    spans = np.array([[0.0, 1.0]])
    for values, kind in (([[0.25, 0.75]], "softmax"), ([[0.9, 0.9]], "sigmoid")):
        raw = np.array(values, np.float32)
        assert score_kind([Timeline(raw, spans.mean(axis=1), spans, ("a", "b"), raw)]) == kind


def test_no_truth_is_an_error():
    timelines, truth = videos(0, 1)
    with pytest.raises(DataError, match="no true segment to choose by"):
        choose_grouping(timelines, {"another": []}, edit_and_f1)
    with pytest.raises(DataError, match="no true segment to choose by"):
        choose_grouping(timelines, {name: [] for name in truth}, edit_and_f1)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("files", "edit", "f1"), [("GTEA/video_SVM/*.mat", 0.54, 0.60), ("50Salads/mid/mid_video_SVM/*.mat", 0.52, 0.62)]
)
def test_settings_chosen_on_one_split_hold_on_the_others(real_data, files, edit, f1):
    """Margins of support vector machines for real videos; plain argmax has 0.38 and 0.47, and 0.21 and 0.28."""
    first, *others = (split(path) for path in sorted((real_data.parent / "golden/where/segmental").glob(files)))
    timelines, targets = zip(*first, strict=True)
    names = [f"{number:02}" for number in range(len(first))]
    truth = {name: segments_of(target) for name, target in zip(names, targets, strict=True)}
    options = choose_grouping(dict(zip(names, timelines, strict=True)), truth, edit_and_f1, background=["0"])
    pairs = [
        (target, classes_of(group_segments(track, options), len(track))) for one in others for track, target in one
    ]
    scores = segmental_scores(pairs, background=0)
    assert scores.edit_score >= edit
    assert scores.f1_mean[0] >= f1


def split(path) -> list[tuple[Timeline, np.ndarray]]:
    """The timelines and true classes of a file; each row stands for one second."""
    values, found = loadmat(path), []
    for scores, target in zip(values["S"].ravel(), values["Y"].ravel(), strict=True):
        raw, spans = scores.astype(np.float32), np.arange(len(scores))[:, None] + np.array([0.0, 1.0])
        labels = tuple(map(str, range(scores.shape[1])))
        found.append((Timeline(raw, spans.mean(axis=1), spans, labels, raw), target.ravel().astype(np.int64)))
    return found


def segments_of(classes: np.ndarray) -> list[Segment]:
    return [Segment(TimeSpan(first, end), str(label), 1.0) for label, first, end in runs_of(classes, background=0)]


def classes_of(segments, length: int) -> np.ndarray:
    classes = np.zeros(length, np.int64)
    for segment in segments:
        classes[round(segment.span.start_s) : round(segment.span.end_s)] = int(segment.label)
    return classes
