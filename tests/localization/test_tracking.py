import numpy as np
import pytest

from kinema.errors import ConfigError
from kinema.evaluation.located.tracking import TrackedFrame, tracking_scores
from kinema.localization.tracking import Tracker, TrackerOptions, track
from kinema.tracks import FrameBoxes


def frame(time_s: float, *rows: tuple[float, float, float]) -> FrameBoxes:
    """Boxes of 40 x 80 pixels by left, top and score."""
    boxes = np.array([[x, y, x + 40, y + 80] for x, y, _ in rows]).reshape(-1, 4)
    return FrameBoxes(round(time_s * 100), time_s, boxes, np.array([score for *_, score in rows]))


def crossing(fps: float, duration_s: float = 4.0) -> list[FrameBoxes]:
    """Two people who walk towards each other and pass at different heights."""
    times_s = np.arange(0, duration_s, 1 / fps)
    return [frame(t, (60 * t, 0, 0.9), (240 - 60 * t, 60, 0.9)) for t in times_s]


@pytest.mark.parametrize("fps", [25, 10, 5])
def test_two_people_who_pass_keep_their_identities(fps):
    first, second = track(crossing(fps))
    assert (len(first), len(second)) == (4 * fps, 4 * fps)
    assert (np.diff(first.boxes[:, 0]) > 0).all()
    assert (np.diff(second.boxes[:, 0]) < 0).all()


def test_frames_at_uneven_times_give_the_same_tracks():
    times_s = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.3, 40))
    tracks = track([frame(t, (60 * t, 0, 0.9), (700 - 60 * t, 60, 0.9)) for t in times_s])
    assert [len(one) for one in tracks] == [40, 40]


def test_patience_is_counted_in_seconds():
    def seen(fps: float, hidden_s: float) -> int:
        times_s = np.arange(0, 4, 1 / fps)
        return len(track([frame(t, *([] if 1 < t < 1 + hidden_s else [(60 * t, 0, 0.9)])) for t in times_s]))

    assert [seen(fps, 0.8) for fps in (25, 5)] == [1, 1]
    assert [seen(fps, 1.5) for fps in (25, 5)] == [2, 2]


def test_a_box_of_low_score_continues_a_track_but_begins_none():
    frames = [frame(t, (0, 0, 0.2 if 1 < t < 3 else 0.9), (200, 0, 0.2)) for t in np.arange(0, 4, 0.1)]
    (only,) = track(frames)
    assert len(only) == 40


def test_a_single_false_box_is_no_track():
    frames = [frame(t, (0, 0, 0.9), *([(200, 0, 0.9)] if t == 1.0 else [])) for t in np.arange(0, 2, 0.1).round(1)]
    assert len(track(frames)) == 1
    assert len(track(frames, TrackerOptions(min_boxes=1))) == 2


def test_memory_holds_living_tracks_only():
    tracker = Tracker()
    ended = [
        one for t in range(100) for k in range(5) for one in tracker.update(frame(2 * t + k / 10, (t % 7 * 99, 0, 0.9)))
    ]
    assert len(ended) == 99
    assert len(tracker.finish()) == 1
    assert tracker.finish() == []


def test_frames_out_of_order_are_refused():
    tracker = Tracker()
    tracker.update(frame(1.0))
    with pytest.raises(ValueError, match="order of time"):
        tracker.update(frame(1.0))


def test_a_threshold_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="--high-score must lie between 0 and 1"):
        TrackerOptions(high_score=1.5)


@pytest.mark.parametrize(("name", "reference"), [("TUD-Campus", 0.499), ("TUD-Stadtmitte", 0.574)])
def test_identities_are_as_right_as_those_of_the_package_trackers(real_data, name, reference):
    # IDF1 of ByteTrackTracker in trackers 2.6.1 with its defaults on the same boxes
    frames: dict[str, dict[int, list[list[float]]]] = {"gt": {}, "test": {}}
    for kind, by_frame in frames.items():
        for row in np.loadtxt(real_data.parent / f"golden/where/mot/{name}/{kind}.txt", delimiter=","):
            by_frame.setdefault(int(row[0]), []).append([row[1], *row[2:4], *(row[2:4] + row[4:6])])
    last = max(frames["gt"])
    boxes = {n: np.array(frames["test"].get(n, []), float).reshape(-1, 5)[:, 1:] for n in range(1, last + 1)}
    tracks = track([FrameBoxes(n, n / 25, rows, np.full(len(rows), 0.9)) for n, rows in boxes.items()])
    answers: dict[int, list[list[float]]] = {}
    for one in tracks:
        for number, box in zip(one.frames.tolist(), one.boxes.tolist(), strict=True):
            answers.setdefault(number, []).append([one.id, *box])

    def tracked(rows: list[list[float]]) -> TrackedFrame:
        values = np.array(rows)
        return TrackedFrame(values[:, 0].astype(np.int64), values[:, 1:])

    truth = {number: tracked(rows) for number, rows in frames["gt"].items()}
    found = tracking_scores(truth, {number: tracked(rows) for number, rows in answers.items()})
    assert found.idf1 >= reference - 0.02
