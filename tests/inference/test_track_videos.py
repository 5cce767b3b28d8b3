import numpy as np
import pytest

from kinema.errors import ConfigError, UnknownName
from kinema.inference.detectors.boxes_file import read_boxes
from kinema.inference.detectors.contract import FunctionDetector
from kinema.inference.track_videos import DetectOptions, track_videos
from kinema.predictions import Failure
from kinema.tracks import VideoTracks
from kinema.video import VideoWriter


@pytest.fixture(scope="module")
def walk(tmp_path_factory) -> str:
    """Three seconds at 20 fps: a white square of 12 pixels walks to the right by 1 px a frame on black."""
    path = tmp_path_factory.mktemp("walk") / "walk.mp4"
    with VideoWriter(path, 20, (48, 96)) as writer:
        for number in range(60):
            frame = np.zeros((48, 96, 3), np.uint8)
            frame[16:28, 4 + number : 16 + number] = 255
            writer.write(frame)
    return str(path)


def bright(frame: np.ndarray):
    """The box of bright pixels, as a person with a score of 0.9, and a dog in the corner."""
    rows, columns = np.nonzero(frame[:, :, 0] > 128)
    if not len(rows):
        return np.zeros((0, 4)), np.zeros(0), np.zeros(0)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return np.array([box, [0, 0, 8, 8]]), np.array([0.9, 0.95]), np.array([0, 16])


DETECTOR = FunctionDetector(bright)


def tracked(path: str, **options) -> VideoTracks:
    (found,) = track_videos([path], DETECTOR, DetectOptions(**options))
    assert isinstance(found, VideoTracks)
    return found


def test_a_person_is_followed_through_the_video(walk):
    found = tracked(walk)
    (track,) = found.tracks
    assert (len(track), found.num_frames, found.best_score, found.damage) == (60, 60, 0.9, "")
    assert track.boxes[30] == pytest.approx([34, 16, 46, 28], abs=1)
    assert track.times_s[30] == pytest.approx(1.5)


def test_a_lower_rate_looks_at_fewer_frames_by_time(walk):
    found = tracked(walk, fps=4)
    assert found.num_frames == 12
    assert found.tracks[0].frames.tolist() == list(range(0, 60, 5))
    assert tracked(walk, fps=100).num_frames == 60


def test_other_classes_are_found_on_request(walk):
    assert tracked(walk, kinds=("dog",)).tracks[0].boxes[0].tolist() == [0, 0, 8, 8]
    with pytest.raises(UnknownName, match="Did you mean dog"):
        tracked(walk, kinds=("dogg",))


def test_a_video_without_a_person_is_a_normal_answer(walk):
    found = tracked(walk, min_score=0.95)
    assert (found.tracks, found.best_score, found.min_score) == ((), 0.9, 0.95)


def test_a_file_that_cannot_be_read_does_not_end_the_run(walk, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    first, second, third = track_videos([walk, str(tmp_path / "text.mp4"), walk], DETECTOR)
    assert isinstance(second, Failure)
    assert len(first.tracks) == len(third.tracks) == 1


def test_boxes_of_a_file_give_tracks(walk, tmp_path):
    named = "1,5,4,16,12,12,0.9\n2,5,5,16,12,12,0.9\n"
    (tmp_path / "boxes.txt").write_text(named + "".join(f"{n + 1},-1,{4 + n},16,12,12,0.8\n" for n in range(20)))
    (found,) = track_videos([walk], read_boxes(str(tmp_path / "boxes.txt")))
    assert [(track.id, len(track)) for track in found.tracks] == [(5, 2), (6, 20)]
    assert found.num_frames == 20
    (tmp_path / "other.csv").write_text("run,1.0,0.1,0.2,0.5,0.8,,0.7\n")
    (failed,) = track_videos([walk], read_boxes(str(tmp_path / "other.csv")))
    assert isinstance(failed, Failure)


def test_impossible_options_are_refused():
    with pytest.raises(ConfigError, match="--min-score"):
        DetectOptions(min_score=2)
